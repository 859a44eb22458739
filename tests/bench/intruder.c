/* An attack that keeps a log of how far it got: for tests/bench/containment.py.
 *
 *   intruder files LOG FOLDER COUNT        makes COUNT files, one every 20 us at most
 *   intruder file  LOG PATH   COUNT        drops one program, then opens it again and again
 *   intruder send  LOG ADDRESS PORT COUNT  sends COUNT blocks of 1 KB
 *
 * LOG is a file of three 8-byte numbers, mapped and written at each step: when it began, when it
 * got furthest (CLOCK_MONOTONIC, ns), and how far. Whatever stops it, they tell. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *progress;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void step(void)
{
    progress[2] += 1;
    progress[1] = now_ns();
}

static void begin(const char *log)
{
    int fd = open(log, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, 24) != 0)
        exit(2);
    progress = mmap(NULL, 24, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (progress == MAP_FAILED)
        exit(2);
    close(fd);
    progress[0] = progress[1] = now_ns();
}

static void pause_us(long us)
{
    struct timespec wait = {0, us * 1000};
    nanosleep(&wait, NULL);
}

static int make_files(const char *folder, long count)
{
    char path[4096];
    for (long number = 0; number < count; number++) {
        snprintf(path, sizeof path, "%s/%ld", folder, number);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        if (fd < 0)
            return 3;
        if (write(fd, "x", 1) != 1)
            return 3;
        close(fd);
        step();
        pause_us(20);
    }
    return 0;
}

static int use_file(const char *path, long count)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0700);
    if (fd < 0 || write(fd, "#!/bin/sh\n", 10) != 10)
        return 3;
    close(fd);
    progress[0] = now_ns();
    for (long number = 0; number < count; number++) {
        fd = open(path, O_RDONLY);
        if (fd < 0)
            return 4;
        close(fd);
        step();
        pause_us(20);
    }
    return 0;
}

static int send_blocks(const char *address, int port, long count)
{
    char block[1024];
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(port)};
    memset(block, 'x', sizeof block);
    inet_pton(AF_INET, address, &peer.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    progress[0] = now_ns();
    if (fd < 0 || connect(fd, (struct sockaddr *)&peer, sizeof peer) != 0)
        return 3;
    for (long number = 0; number < count; number++) {
        if (send(fd, block, sizeof block, MSG_NOSIGNAL) != sizeof block)
            return 4;
        step();
        pause_us(20);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    begin(argv[2]);
    if (strcmp(argv[1], "files") == 0)
        return make_files(argv[3], atol(argv[4]));
    if (strcmp(argv[1], "file") == 0)
        return use_file(argv[3], atol(argv[4]));
    if (strcmp(argv[1], "send") == 0 && argc == 6)
        return send_blocks(argv[3], atoi(argv[4]), atol(argv[5]));
    return 2;
}
