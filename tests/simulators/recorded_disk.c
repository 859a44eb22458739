/* Writes down every call that changes files below a folder; preloaded into the process under test.
 *
 * VEDETTE_RECORD_ROOT names the folder (canonical), VEDETTE_RECORD_LOG the file that gets one record
 * for each change, in the order in which they were made, by all threads and children. A record is a
 * line of words, and then the bytes whose lengths it says (tests/powercut/recording.py reads them):
 *   C inode length          file made:             path
 *   D inode length          folder made:           path
 *   W inode offset length   written:               data
 *   T inode size            cut or grown to a size
 *   S inode                 synced (file or folder)
 *   A                       everything synced
 *   R length length flags   renamed (1 not replacing, 2 exchanged): old path, new path
 *   L length length         linked:                old path, new path
 *   Y length length         symbolic link made:    target, path
 *   U length                name removed:          path
 *   X length                folder removed:        path
 *   M length                mark:                  text (recorded_disk_mark)
 *   ? length                something done that cannot be replayed: what
 * With VEDETTE_RECORD_KILL=n a process whose command line holds VEDETTE_RECORD_VICTIM is ended by
 * SIGKILL right after its n-th change.
 * Calls that fail are not recorded. Shared writable mappings cannot be seen: they are refused as "?",
 * but for SQLite's -shm, which every opener builds anew after a crash.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX];
static size_t root_length;
static int log_descriptor = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long changes_left = 0;

static void open_log(void) {
    const char *path = getenv("VEDETTE_RECORD_LOG");
    log_descriptor = path == NULL ? -1
        : (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    /* High, so that nobody who counts on the next free number gets another one than usual. */
    if (log_descriptor >= 0) {
        int high = fcntl(log_descriptor, F_DUPFD_CLOEXEC, 700);
        if (high >= 0) { syscall(SYS_close, log_descriptor); log_descriptor = high; }
    }
}

/* Whether this process is the one to be killed: its arguments, joined by blanks, hold the word. */
static int is_victim(void) {
    char line[8192];
    const char *word = getenv("VEDETTE_RECORD_VICTIM");
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(descriptor, line, sizeof line - 1);
    syscall(SYS_close, descriptor);
    if (length <= 0 || word == NULL) return 0;
    for (ssize_t place = 0; place < length; place++)
        if (line[place] == '\0') line[place] = ' ';
    line[length] = '\0';
    return strstr(line, word) != NULL;
}

static void in_child(void) {
    pthread_mutex_init(&mutex, NULL);
    if (log_descriptor >= 0) syscall(SYS_close, log_descriptor);
    open_log();
}

__attribute__((constructor)) static void start(void) {
    const char *folder = getenv("VEDETTE_RECORD_ROOT");
    if (folder == NULL || strlen(folder) >= sizeof root) return;
    strcpy(root, folder);
    root_length = strlen(root);
    open_log();
    const char *kill_at = getenv("VEDETTE_RECORD_KILL");
    if (kill_at != NULL && is_victim()) changes_left = atol(kill_at);
    pthread_atfork(NULL, NULL, in_child);
}

/* One change and its record belong together, against threads and against other processes. */
static void begin(void) {
    pthread_mutex_lock(&mutex);
    if (log_descriptor >= 0) flock(log_descriptor, LOCK_EX);
}

static void end(void) {
    int kept = errno;
    if (log_descriptor >= 0) flock(log_descriptor, LOCK_UN);
    pthread_mutex_unlock(&mutex);
    errno = kept;
}

static void put(const void *head, size_t head_length, const void *one, size_t one_length,
                const void *two, size_t two_length) {
    struct iovec parts[4] = {{(void *)head, head_length}, {(void *)one, one_length},
                             {(void *)two, two_length}, {"\n", 1}};
    ssize_t wanted = (ssize_t)(head_length + one_length + two_length + 1);
    int kept = errno;
    if (syscall(SYS_writev, log_descriptor, parts, 4) != wanted) abort();
    if (changes_left > 0 && --changes_left == 0) kill(getpid(), SIGKILL);
    errno = kept;
}

static void say(const void *one, size_t one_length, const void *two, size_t two_length,
                const char *format, ...) {
    char head[160];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(head, sizeof head, format, values);
    va_end(values);
    put(head, (size_t)length, one, one_length, two, two_length);
}

static int is_below(const char *path) {
    return log_descriptor >= 0 && root_length > 0 && strncmp(path, root, root_length) == 0 &&
           (path[root_length] == '/' || path[root_length] == '\0');
}

/* The inode of an open file or folder below the root; 0 for all others. */
static uint64_t inode_of(int descriptor) {
    char name[64], path[PATH_MAX];
    struct stat status;
    int kept = errno;
    uint64_t found = 0;
    if (log_descriptor < 0 || descriptor < 0) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length > 0) {
        path[length] = '\0';
        if (is_below(path) && fstat(descriptor, &status) == 0 &&
            (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
            found = status.st_ino;
    }
    errno = kept;
    return found;
}

/* The canonical path of a name that need not exist; "" outside the root. */
static void resolve(int folder, const char *path, char *out) {
    char whole[2 * PATH_MAX], parent[PATH_MAX], name[64];
    int kept = errno;
    out[0] = '\0';
    if (log_descriptor < 0 || path == NULL || strlen(path) >= PATH_MAX) return;
    if (path[0] == '/') {
        strcpy(whole, path);
    } else {
        ssize_t length;
        if (folder == AT_FDCWD) strcpy(name, "/proc/self/cwd");
        else snprintf(name, sizeof name, "/proc/self/fd/%d", folder);
        length = readlink(name, whole, PATH_MAX - 1);
        if (length < 0) { errno = kept; return; }
        whole[length] = '/';
        strcpy(whole + length + 1, path);
    }
    size_t length = strlen(whole);
    while (length > 1 && whole[length - 1] == '/') whole[--length] = '\0';
    char *slash = strrchr(whole, '/');
    if (slash != NULL) {
        *slash = '\0';
        if (realpath(whole[0] ? whole : "/", parent) != NULL &&
            strlen(parent) + strlen(slash + 1) + 2 < PATH_MAX) {
            sprintf(out, "%s/%s", parent, slash + 1);
            if (!is_below(out)) out[0] = '\0';
        }
    }
    errno = kept;
}

static void unsupported(const char *what) { say(what, strlen(what), "", 0, "? %zu\n", strlen(what)); }

void recorded_disk_mark(const char *text) {
    if (log_descriptor < 0) return;
    begin();
    say(text, strlen(text), "", 0, "M %zu\n", strlen(text));
    end();
}

static int open_recorded(int folder, const char *path, int flags, mode_t mode) {
    struct stat before;
    if (log_descriptor < 0 || !(flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)))
        return (int)syscall(SYS_openat, folder, path, flags, mode);
    begin();
    int kept = errno;
    int was_there = fstatat(folder, path, &before, 0) == 0;
    errno = kept;
    int descriptor = (int)syscall(SYS_openat, folder, path, flags, mode);
    uint64_t inode = inode_of(descriptor);
    if (inode != 0) {
        if ((flags & O_TMPFILE) == O_TMPFILE) unsupported("a file without a name (O_TMPFILE)");
        if (flags & (O_SYNC | O_DSYNC)) unsupported("a file opened with O_SYNC or O_DSYNC");
        if ((flags & O_CREAT) && !was_there) {
            char name[64], made[PATH_MAX];
            snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
            ssize_t length = readlink(name, made, sizeof made);
            if (length > 0)
                say(made, (size_t)length, "", 0, "C %llu %zd\n", (unsigned long long)inode, length);
        } else if ((flags & O_TRUNC) && before.st_size > 0) {
            say("", 0, "", 0, "T %llu 0\n", (unsigned long long)inode);
        }
    }
    end();
    return descriptor;
}

#define OPEN_BODY(folder)                                   \
    mode_t mode = 0;                                        \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
        va_list values;                                     \
        va_start(values, flags);                            \
        mode = va_arg(values, mode_t);                      \
        va_end(values);                                     \
    }                                                       \
    return open_recorded(folder, path, flags, mode)

int open(const char *path, int flags, ...) { OPEN_BODY(AT_FDCWD); }
int open64(const char *path, int flags, ...) { OPEN_BODY(AT_FDCWD); }
int openat(int folder, const char *path, int flags, ...) { OPEN_BODY(folder); }
int openat64(int folder, const char *path, int flags, ...) { OPEN_BODY(folder); }
int creat(const char *path, mode_t mode) {
    return open_recorded(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

static void written(uint64_t inode, off_t offset, const void *data, ssize_t count) {
    if (count > 0)
        say(data, (size_t)count, "", 0, "W %llu %lld %zd\n", (unsigned long long)inode,
            (long long)offset, count);
}

static ssize_t write_parts(int descriptor, const struct iovec *parts, int number, off_t offset,
                           int has_offset) {
    uint64_t inode = inode_of(descriptor);
    if (inode == 0)
        return has_offset ? syscall(SYS_pwritev, descriptor, parts, number, offset, 0)
                          : syscall(SYS_writev, descriptor, parts, number);
    begin();
    ssize_t count = has_offset ? syscall(SYS_pwritev, descriptor, parts, number, offset, 0)
                               : syscall(SYS_writev, descriptor, parts, number);
    if (count > 0) {
        off_t at = has_offset ? offset : lseek(descriptor, 0, SEEK_CUR) - count;
        ssize_t left = count;
        for (int index = 0; index < number && left > 0; index++) {
            ssize_t length = (ssize_t)parts[index].iov_len < left ? (ssize_t)parts[index].iov_len : left;
            written(inode, at, parts[index].iov_base, length);
            at += length;
            left -= length;
        }
    }
    end();
    return count;
}

ssize_t write(int descriptor, const void *data, size_t size) {
    uint64_t inode = inode_of(descriptor);
    if (inode == 0) return syscall(SYS_write, descriptor, data, size);
    begin();
    ssize_t count = syscall(SYS_write, descriptor, data, size);
    if (count > 0) written(inode, lseek(descriptor, 0, SEEK_CUR) - count, data, count);
    end();
    return count;
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset) {
    uint64_t inode = inode_of(descriptor);
    if (inode == 0) return syscall(SYS_pwrite64, descriptor, data, size, offset);
    begin();
    ssize_t count = syscall(SYS_pwrite64, descriptor, data, size, offset);
    written(inode, offset, data, count);
    end();
    return count;
}
ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset) {
    return pwrite64(descriptor, data, size, offset);
}

ssize_t writev(int descriptor, const struct iovec *parts, int number) {
    return write_parts(descriptor, parts, number, 0, 0);
}
ssize_t pwritev(int descriptor, const struct iovec *parts, int number, off_t offset) {
    return write_parts(descriptor, parts, number, offset, 1);
}
ssize_t pwritev64(int descriptor, const struct iovec *parts, int number, off64_t offset) {
    return write_parts(descriptor, parts, number, offset, 1);
}

/* What the kernel copied is read back: its bytes never were in this process. */
static void copied(int descriptor, uint64_t inode, off_t offset, ssize_t count) {
    char name[64], data[1 << 16];
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    int reader = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
    while (reader >= 0 && count > 0) {
        ssize_t wanted = count < (ssize_t)sizeof data ? count : (ssize_t)sizeof data;
        ssize_t found = pread(reader, data, (size_t)wanted, offset);
        if (found <= 0) break;
        written(inode, offset, data, found);
        offset += found;
        count -= found;
    }
    if (count > 0) unsupported("a copy by the kernel that cannot be read back");
    if (reader >= 0) syscall(SYS_close, reader);
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t size) {
    uint64_t inode = inode_of(out);
    if (inode == 0) return syscall(SYS_sendfile, out, in, offset, size);
    begin();
    ssize_t count = syscall(SYS_sendfile, out, in, offset, size);
    if (count > 0) copied(out, inode, lseek(out, 0, SEEK_CUR) - count, count);
    end();
    return count;
}
ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
    return sendfile64(out, in, (off64_t *)offset, size);
}

ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t size,
                        unsigned int flags) {
    uint64_t inode = inode_of(out);
    if (inode == 0)
        return syscall(SYS_copy_file_range, in, in_offset, out, out_offset, size, flags);
    begin();
    ssize_t count = syscall(SYS_copy_file_range, in, in_offset, out, out_offset, size, flags);
    if (count > 0)
        copied(out, inode, (out_offset ? *out_offset : lseek(out, 0, SEEK_CUR)) - count, count);
    end();
    return count;
}

static int resized(int descriptor, off64_t size) {
    uint64_t inode = inode_of(descriptor);
    if (inode == 0) return (int)syscall(SYS_ftruncate, descriptor, size);
    begin();
    int result = (int)syscall(SYS_ftruncate, descriptor, size);
    if (result == 0)
        say("", 0, "", 0, "T %llu %lld\n", (unsigned long long)inode, (long long)size);
    end();
    return result;
}
int ftruncate64(int descriptor, off64_t size) { return resized(descriptor, size); }
int ftruncate(int descriptor, off_t size) { return resized(descriptor, size); }

static int resized_by_path(const char *path, off64_t size) {
    int descriptor = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return -1;
    int result = resized(descriptor, size);
    int kept = errno;
    syscall(SYS_close, descriptor);
    errno = kept;
    return result;
}
int truncate64(const char *path, off64_t size) { return resized_by_path(path, size); }
int truncate(const char *path, off_t size) { return resized_by_path(path, size); }

static int allocated(int descriptor, int mode, off64_t offset, off64_t length) {
    uint64_t inode = inode_of(descriptor);
    struct stat status;
    if (inode == 0) return (int)syscall(SYS_fallocate, descriptor, mode, offset, length);
    begin();
    int result = (int)syscall(SYS_fallocate, descriptor, mode, offset, length);
    if (result == 0 && mode != 0 && mode != 1) unsupported("fallocate with a mode");
    if (result == 0 && mode == 0 && fstat(descriptor, &status) == 0)
        say("", 0, "", 0, "T %llu %lld\n", (unsigned long long)inode, (long long)status.st_size);
    end();
    return result;
}
int fallocate64(int d, int mode, off64_t offset, off64_t length) { return allocated(d, mode, offset, length); }
int fallocate(int d, int mode, off_t offset, off_t length) { return allocated(d, mode, offset, length); }
int posix_fallocate64(int d, off64_t offset, off64_t length) {
    return allocated(d, 0, offset, length) == 0 ? 0 : errno;
}
int posix_fallocate(int d, off_t offset, off_t length) { return posix_fallocate64(d, offset, length); }

static int synced(long number, int descriptor) {
    uint64_t inode = inode_of(descriptor);
    if (inode == 0) return (int)syscall(number, descriptor);
    begin();
    int result = (int)syscall(number, descriptor);
    if (result == 0) say("", 0, "", 0, "S %llu\n", (unsigned long long)inode);
    end();
    return result;
}
int fsync(int descriptor) { return synced(SYS_fsync, descriptor); }
int fdatasync(int descriptor) { return synced(SYS_fdatasync, descriptor); }

static void all_synced(void) {
    begin();
    if (log_descriptor >= 0) say("", 0, "", 0, "A\n");
    end();
}
int syncfs(int descriptor) {
    int result = (int)syscall(SYS_syncfs, descriptor);
    if (result == 0) all_synced();
    return result;
}
void sync(void) {
    syscall(SYS_sync);
    all_synced();
}

static int renamed(int folder, const char *old, int new_folder, const char *new, unsigned flags) {
    char from[PATH_MAX], to[PATH_MAX];
    begin();
    resolve(folder, old, from);
    resolve(new_folder, new, to);
    int result = (int)syscall(SYS_renameat2, folder, old, new_folder, new, flags);
    if (result == 0 && (from[0] || to[0])) {
        if (!from[0] || !to[0]) unsupported("a rename over the edge of the recorded folder");
        else say(from, strlen(from), to, strlen(to), "R %zu %zu %u\n", strlen(from), strlen(to), flags);
    }
    end();
    return result;
}
int rename(const char *old, const char *new) { return renamed(AT_FDCWD, old, AT_FDCWD, new, 0); }
int renameat(int f, const char *old, int g, const char *new) { return renamed(f, old, g, new, 0); }
int renameat2(int f, const char *old, int g, const char *new, unsigned flags) {
    return renamed(f, old, g, new, flags);
}

int linkat(int folder, const char *old, int new_folder, const char *new, int flags) {
    char from[PATH_MAX], to[PATH_MAX];
    begin();
    resolve(folder, old, from);
    resolve(new_folder, new, to);
    int result = (int)syscall(SYS_linkat, folder, old, new_folder, new, flags);
    if (result == 0 && to[0]) {
        if (!from[0]) unsupported("a link to a file outside of the recorded folder");
        else say(from, strlen(from), to, strlen(to), "L %zu %zu\n", strlen(from), strlen(to));
    }
    end();
    return result;
}
int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

int symlinkat(const char *target, int folder, const char *path) {
    char to[PATH_MAX];
    begin();
    resolve(folder, path, to);
    int result = (int)syscall(SYS_symlinkat, target, folder, path);
    if (result == 0 && to[0])
        say(target, strlen(target), to, strlen(to), "Y %zu %zu\n", strlen(target), strlen(to));
    end();
    return result;
}
int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

int unlinkat(int folder, const char *path, int flags) {
    char gone[PATH_MAX];
    begin();
    resolve(folder, path, gone);
    int result = (int)syscall(SYS_unlinkat, folder, path, flags);
    if (result == 0 && gone[0])
        say(gone, strlen(gone), "", 0, "%c %zu\n", flags & AT_REMOVEDIR ? 'X' : 'U', strlen(gone));
    end();
    return result;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    int result = unlink(path);
    return result < 0 && errno == EISDIR ? rmdir(path) : result;
}

int mkdirat(int folder, const char *path, mode_t mode) {
    char made[PATH_MAX];
    struct stat status;
    begin();
    int result = (int)syscall(SYS_mkdirat, folder, path, mode);
    resolve(folder, path, made);
    if (result == 0 && made[0] && fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) == 0)
        say(made, strlen(made), "", 0, "D %llu %zu\n", (unsigned long long)status.st_ino, strlen(made));
    end();
    return result;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

void *mmap64(void *place, size_t length, int protection, int flags, int descriptor, off64_t offset) {
    if ((flags & MAP_SHARED) && (protection & PROT_WRITE) && inode_of(descriptor) != 0) {
        char name[64], path[PATH_MAX] = "";
        snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
        ssize_t size = readlink(name, path, sizeof path - 1);
        if (size < 4 || strncmp(path + size - 4, "-shm", 4) != 0) {
            begin();
            unsupported("a shared writable mapping of a file");
            end();
        }
    }
    return (void *)syscall(SYS_mmap, place, length, protection, flags, descriptor, offset);
}
void *mmap(void *place, size_t length, int protection, int flags, int descriptor, off_t offset) {
    return mmap64(place, length, protection, flags, descriptor, offset);
}
