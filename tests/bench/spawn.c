/* Executes programs one after the other, or several at once, and says how long each took.
 *
 * usage: spawn N AT_ONCE PATH...
 * Executes N times, going round the paths, and prints: seconds for all, then the microseconds of
 * each from its start to its end, p50 and p99. Exit status 1: one could not be started or failed.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int compare(const void *left, const void *right)
{
    double difference = *(const double *)left - *(const double *)right;

    return difference > 0 ? 1 : difference < 0 ? -1 : 0;
}

/* vfork: the parent goes on when the child has executed, so what remains is the child's end. */
static pid_t start(char *path)
{
    char *arguments[] = {path, NULL};
    char *environment[] = {NULL};
    pid_t pid = vfork();

    if (pid == 0) {
        execve(path, arguments, environment);
        _exit(127);
    }
    return pid;
}

static int reap(void)
{
    int status;

    return wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int count, char **argument)
{
    long wanted, at_once, running = 0, paths = count - 3;
    double *took, begin;
    int ok = 1;

    if (count < 4) {
        fprintf(stderr, "usage: spawn N AT_ONCE PATH...\n");
        return 2;
    }
    wanted = atol(argument[1]);
    at_once = atol(argument[2]);
    took = calloc(wanted, sizeof *took);
    begin = now_us();
    for (long number = 0; took && number < wanted; number++) {
        double began = now_us();

        if (start(argument[3 + number % paths]) <= 0) {
            ok = 0;
            break;
        }
        if (++running >= at_once) {
            ok &= reap();
            running--;
        }
        took[number] = now_us() - began;
    }
    for (; running > 0; running--)
        ok &= reap();
    if (!took || wanted < 1)
        return 1;
    printf("%.6f ", (now_us() - begin) / 1e6);
    qsort(took, wanted, sizeof *took, compare);
    printf("%.3f %.3f\n", took[wanted / 2], took[wanted * 99 / 100]);
    return !ok;
}
