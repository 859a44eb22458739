/* Executions, and of forks and exits those that somebody needs.
 *
 * Rule 1: a fork is told when the child acts, forks or ends without having executed: one that
 * executes says all of itself then. Threads and the kernel's own are never told.
 * Rule 2: a parent is who forked, not who took over when that one ended.
 * Rule 3: a record is put together in a buffer of this processor and written in one go, as long as
 * it is and no longer.
 */
#pragma once

#include "record.h"

#define MAX_NAMES 40           /* of one path */
#define NAME_BYTES 256         /* NAME_MAX and the zero byte */
#define PATHS_BYTES 4096       /* of image and folder together */
#define IMAGE_BYTES 2560       /* of which the image's */
#define ARGUMENTS_BYTES 8192
#define ENVIRONMENT_BYTES 4096
#define MOST_TEXT_BYTES (PATHS_BYTES + NAME_BYTES + ARGUMENTS_BYTES + ENVIRONMENT_BYTES)

struct workplace {
    __u32 is_taken;
    __u32 length; /* of the text */
    struct exec_record record;
    char text[MOST_TEXT_BYTES];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct workplace);
} workplaces SEC(".maps");

struct origin {
    __u32 ppid;
    __u32 is_told;
};

struct process_key {
    __u64 start_ns;
    __u32 pid;
    __u32 reserved;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, struct process_key);
    __type(value, struct origin);
} forks SEC(".maps");

static __always_inline void write_fork(struct task_struct *leader, struct origin *origin,
                                       __u16 flags)
{
    struct fork_record *record = bpf_ringbuf_reserve(&ring, sizeof *record, 0);

    if (!record) {
        lose(CLASS_PROCESS);
        return;
    }
    begin(&record->head, KIND_FORK, BPF_CORE_READ(leader, tgid));
    record->head.flags = flags;
    record->start_ns = BPF_CORE_READ(leader, start_boottime);
    record->ppid = origin ? origin->ppid : BPF_CORE_READ(leader, real_parent, tgid);
    record->reserved = 0;
    bpf_ringbuf_submit(record, 0);
}

static __always_inline struct process_key key_of(struct task_struct *leader)
{
    struct process_key key = {
        .start_ns = BPF_CORE_READ(leader, start_boottime),
        .pid = BPF_CORE_READ(leader, tgid),
    };

    return key;
}

static __always_inline int is_mere_fork(struct task_struct *leader)
{
    return (BPF_CORE_READ(leader, flags) & (PF_FORKNOEXEC | PF_KTHREAD)) == PF_FORKNOEXEC;
}

/* Before something is told of a process that never executed: where it comes from. */
static __noinline void introduce(struct task_struct *leader)
{
    struct process_key key;
    struct origin *origin, unknown = {.is_told = 1};

    if (!is_mere_fork(leader))
        return;
    key = key_of(leader);
    origin = bpf_map_lookup_elem(&forks, &key);
    if (origin && origin->is_told)
        return;
    write_fork(leader, origin, 0);
    if (origin) {
        origin->is_told = 1;
        return;
    }
    unknown.ppid = BPF_CORE_READ(leader, real_parent, tgid);
    bpf_map_update_elem(&forks, &key, &unknown, BPF_ANY);
}

SEC("tp_btf/task_newtask")
int BPF_PROG(on_fork, struct task_struct *child, __u64 clone_flags)
{
    struct task_struct *parent;
    struct process_key key;
    struct origin origin = {};

    if (clone_flags & CLONE_THREAD)
        return 0;
    parent = current_leader();
    if (BPF_CORE_READ(parent, flags) & PF_KTHREAD)
        return 0;
    introduce(parent); /* it may be gone when the child executes */
    if (clone_flags & CLONE_VFORK)
        return 0; /* the parent waits for what it does */
    key = key_of(child);
    origin.ppid = BPF_CORE_READ(parent, tgid);
    bpf_map_update_elem(&forks, &key, &origin, BPF_ANY);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
    struct task_struct *leader = BPF_CORE_READ(task, group_leader);
    struct head *head;

    if (BPF_CORE_READ(task, signal, live.counter) > 0)
        return 0;
    if (BPF_CORE_READ(leader, flags) & PF_KTHREAD)
        return 0;
    if (is_mere_fork(leader)) {
        struct process_key key = key_of(leader);
        struct origin *origin = bpf_map_lookup_elem(&forks, &key);
        int is_told = origin && origin->is_told;

        if (!is_told)
            write_fork(leader, origin, HAS_ENDED);
        bpf_map_delete_elem(&forks, &key);
        if (!is_told)
            return 0;
    }
    head = bpf_ringbuf_reserve(&ring, sizeof *head, 0);
    if (!head) {
        lose(CLASS_PROCESS);
        return 0;
    }
    begin(head, KIND_EXIT, BPF_CORE_READ(leader, tgid));
    bpf_ringbuf_submit(head, 0);
    return 0;
}

/* Append the names of a path from the last to the first, as far as `limit`.
 *
 * The length stands in the workplace, not in a register: the verifier then sees the same state at
 * the end of both ways through the loop, instead of two to the power of its turns.
 */
static __noinline int append_path(struct workplace *place, const struct path *path, __u32 limit)
{
    struct dentry *dentry = BPF_CORE_READ(path, dentry);
    struct mount *mount =
        (void *)BPF_CORE_READ(path, mnt) - bpf_core_field_offset(struct mount, mnt);

    for (int i = 0; i < MAX_NAMES; i++) {
        struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
        __u32 at = place->length;
        long bytes;

        if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
            struct mount *above = BPF_CORE_READ(mount, mnt_parent);

            if (above == mount)
                return 0;
            dentry = BPF_CORE_READ(mount, mnt_mountpoint);
            mount = above;
            continue;
        }
        if (at >= limit || at >= PATHS_BYTES)
            break;
        bytes =
            bpf_probe_read_kernel_str(place->text + at, NAME_BYTES, BPF_CORE_READ(dentry, d_name.name));
        if (bytes <= 0)
            break;
        place->length = at + bytes;
        if (dentry == parent)
            return 0; /* a file without a folder: memfd, pipe */
        dentry = parent;
    }
    return -1;
}

static __always_inline __s64 modified_s(struct inode *inode)
{
    struct inode___seconds *newest = (void *)inode;
    struct inode___hidden *newer = (void *)inode;
    struct inode___plain *older = (void *)inode;

    if (bpf_core_field_exists(newest->i_mtime_sec))
        return BPF_CORE_READ(newest, i_mtime_sec);
    if (bpf_core_field_exists(newer->__i_mtime))
        return BPF_CORE_READ(newer, __i_mtime.tv_sec);
    if (bpf_core_field_exists(older->i_mtime))
        return BPF_CORE_READ(older, i_mtime.tv_sec);
    return 0;
}

/* Who forked it: a daemon's parent is init by the time it executes. */
static __always_inline __u32 birth_parent(struct task_struct *task)
{
    struct process_key key = key_of(task);
    struct origin *origin = bpf_map_lookup_elem(&forks, &key);
    __u32 ppid = origin ? origin->ppid : BPF_CORE_READ(task, real_parent, tgid);

    if (origin)
        bpf_map_delete_elem(&forks, &key);
    return ppid;
}

static __always_inline void describe(struct exec_record *record, struct task_struct *task,
                                     struct inode *inode)
{
    struct task_struct___audited *audited = (void *)task;

    begin(&record->head, KIND_EXEC, BPF_CORE_READ(task, tgid));
    record->start_ns = BPF_CORE_READ(task, start_boottime);
    record->inode = BPF_CORE_READ(inode, i_ino);
    record->modified_s = modified_s(inode);
    record->cgroup = bpf_get_current_cgroup_id();
    record->device = BPF_CORE_READ(inode, i_sb, s_dev);
    record->ppid = birth_parent(task);
    record->uid = BPF_CORE_READ(task, cred, uid.val);
    record->login_uid = -1;
    if (bpf_core_field_exists(audited->loginuid))
        record->login_uid = BPF_CORE_READ(audited, loginuid.val);
}

/* Append a stretch of the process's own memory, whole or not at all; returns its length. */
static __always_inline __u32 append_memory(struct workplace *place, unsigned long from,
                                           unsigned long to, __u32 most, __u32 limit)
{
    __u64 bytes = to > from ? to - from : 0;
    __u32 at = place->length;

    if (bytes > most)
        bytes = most;
    if (!bytes || at > limit || bpf_probe_read_user(place->text + at, bytes, (void *)from))
        return 0;
    place->length = at + bytes;
    return bytes;
}

static __always_inline void collect_arguments(struct workplace *place, struct mm_struct *mm)
{
    struct exec_record *record = &place->record;
    unsigned long from = BPF_CORE_READ(mm, arg_start), to = BPF_CORE_READ(mm, arg_end);
    __u32 limit = PATHS_BYTES + NAME_BYTES;

    record->arguments_bytes = append_memory(place, from, to, ARGUMENTS_BYTES, limit);
    if (to - from > ARGUMENTS_BYTES)
        record->head.flags |= ARGUMENTS_CUT;
    if (to > from && !record->arguments_bytes) {
        record->head.flags |= ARGUMENTS_UNREADABLE;
        __sync_fetch_and_add(&counters.unreadable, 1);
    }
    record->environment_bytes = 0;
    if (!options.has_environment)
        return;
    record->environment_bytes =
        append_memory(place, BPF_CORE_READ(mm, env_start), BPF_CORE_READ(mm, env_end),
                      ENVIRONMENT_BYTES, limit + ARGUMENTS_BYTES);
}

static __always_inline void collect(struct workplace *place, struct task_struct *task)
{
    struct exec_record *record = &place->record;
    struct mm_struct *mm = BPF_CORE_READ(task, mm);
    struct file *file = BPF_CORE_READ(mm, exe_file);
    struct fs_struct *fs = BPF_CORE_READ(task, fs);

    place->length = 0;
    describe(record, task, BPF_CORE_READ(file, f_inode));
    if (append_path(place, &file->f_path, IMAGE_BYTES))
        record->head.flags |= IMAGE_CUT;
    record->image_bytes = place->length;
    if (append_path(place, &fs->pwd, PATHS_BYTES))
        record->head.flags |= FOLDER_CUT;
    record->folder_bytes = place->length - record->image_bytes;
    collect_arguments(place, mm);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
    __u32 zero = 0, bytes;
    struct workplace *place = bpf_map_lookup_elem(&workplaces, &zero);

    /* Taken: a kernel that lets programs be interrupted did so in the middle of another exec. */
    if (!place || place->is_taken) {
        lose(CLASS_PROCESS);
        return 0;
    }
    place->is_taken = 1;
    collect(place, task);
    bytes = place->length;
    if (bytes > MOST_TEXT_BYTES ||
        bpf_ringbuf_output(&ring, &place->record, sizeof place->record + bytes, 0))
        lose(CLASS_PROCESS);
    place->is_taken = 0;
    return 0;
}
