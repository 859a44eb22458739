/* Starts a program N times, K at once, each with its number and a word as arguments.
 *
 * usage: storm N K PROGRAM WORD
 * Prints the seconds from the first start to the last end. Exit status 1: a start failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* vfork: the parent sleeps until the child has executed, so its memory is never copied. */
static int start(char *program, long number, char *word)
{
    char text[24];
    char *arguments[] = {program, text, word, NULL};
    char *environment[] = {"PATH=/usr/bin:/bin", NULL};
    pid_t pid;

    snprintf(text, sizeof text, "%ld", number);
    pid = vfork();
    if (pid == 0) {
        execve(program, arguments, environment);
        _exit(127);
    }
    return pid > 0;
}

static int reap(void)
{
    int status;

    while (waitpid(-1, &status, 0) < 0)
        if (errno != EINTR)
            return 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int count, char **argument)
{
    long wanted, at_once, running = 0;
    int ok = 1;
    double begin;

    if (count != 5) {
        fprintf(stderr, "usage: storm N K PROGRAM WORD\n");
        return 2;
    }
    wanted = atol(argument[1]);
    at_once = atol(argument[2]);
    begin = now();
    for (long number = 0; number < wanted; number++) {
        if (!start(argument[3], number, argument[4])) {
            ok = 0;
            break;
        }
        if (++running >= at_once) {
            ok &= reap();
            running--;
        }
    }
    for (; running > 0; running--)
        ok &= reap();
    printf("%.6f\n", now() - begin);
    return !ok;
}
