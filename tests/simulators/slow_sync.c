/* A disk that needs 150 ms for each sync; preloaded into the process under test. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int slow(long number, int descriptor) {
    struct timespec pause = {0, 150 * 1000 * 1000};
    nanosleep(&pause, 0);
    return (int)syscall(number, descriptor);
}

int fsync(int descriptor) { return slow(SYS_fsync, descriptor); }
int fdatasync(int descriptor) { return slow(SYS_fdatasync, descriptor); }
