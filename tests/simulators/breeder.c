/* Processes that are hard to end. The first argument says how:

   bomb     everybody forks for ever
   orphans  the children of the first fork twice and end, and so do theirs: init gets them all
   vfork    waits for a child that shares its memory and neither executes nor ends
   leader   the first thread ends, the second forks a child and stays
   threads  four threads that fork children which end at once
   spawn    forks children that end at once, one after the other
   sibling  a child that is a child of our parent (CLONE_PARENT)
   away     a grandchild in a session of its own, given to init (a daemon)

   The caller bounds it: RLIMIT_NPROC or a pids group. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void stay(void) { for (;;) pause(); }

static void bomb(void) { for (;;) if (fork() < 0) usleep(1000); }

static void breed(void) {
    for (int born = 0; born < 2;) {
        pid_t child = fork();
        if (child == 0) born = 0;
        else if (child > 0) born++;
        else usleep(1000);
    }
    _exit(0);
}

static void orphans(void) {
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        pid_t child = fork();
        if (child == 0) breed();
        usleep(child < 0 ? 1000 : 100);
    }
}

static void spawn(void) {
    for (;;) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        if (child > 0) waitpid(child, 0, 0);
        else usleep(1000);
    }
}

static void *spawn_thread(void *unused) { spawn(); return unused; }

static void *stay_thread(void *unused) {
    if (fork() == 0) stay();
    puts("ready"), fflush(stdout);
    stay();
    return unused;
}

int main(int count, char **words) {
    const char *mode = count > 1 ? words[1] : "";
    pthread_t thread;
    if (strcmp(mode, "leader") == 0) {
        pthread_create(&thread, 0, stay_thread, 0);
        pthread_exit(0);
    }
    if (strcmp(mode, "sibling") == 0 &&
        syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0) stay();
    if (strcmp(mode, "away") == 0 && fork() == 0) {
        if (setsid() > 0 && fork() == 0) stay();
        _exit(0);
    }
    if (strcmp(mode, "away") == 0) wait(0);
    puts("ready"), fflush(stdout);
    if (strcmp(mode, "bomb") == 0) bomb();
    if (strcmp(mode, "orphans") == 0) orphans();
    if (strcmp(mode, "spawn") == 0) spawn();
    if (strcmp(mode, "vfork") == 0 && vfork() == 0) stay();
    if (strcmp(mode, "threads") == 0) {
        for (int number = 0; number < 4; number++) pthread_create(&thread, 0, spawn_thread, 0);
    }
    stay();
}
