/* What is written into the ring, what is counted, and what the loader may set.
 *
 * Rule 1: every record begins with `struct head`; codec/ebpf.py reads the same layouts, and the two
 * are checked against each other by tests/system/test_ebpf.py.
 * Rule 2: little-endian, naturally aligned, no hidden padding.
 * Rule 3: what does not fit into the ring is counted in `counters`, by class, exactly.
 * Rule 4: processes have the last quarter of the ring for themselves: a flood of connections must
 * not push executions out.
 */
#pragma once

#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

enum kind {
    KIND_EXEC = 1,
    KIND_FORK = 2,
    KIND_EXIT = 3,
    KIND_CONNECTION = 4,
    KIND_LISTENER = 5,
    KIND_ACTIVITY = 6,
};

enum flag {
    ARGUMENTS_CUT = 1,
    ARGUMENTS_UNREADABLE = 2,
    IMAGE_CUT = 4,
    FOLDER_CUT = 8,
    HAS_ENDED = 16,
    IS_INITIATED = 32,
};

enum event_class {
    CLASS_PROCESS,
    CLASS_NETWORK,
    CLASS_KERNEL,
    CLASSES,
};

struct head {
    __u64 at_ns; /* CLOCK_BOOTTIME */
    __u16 kind;
    __u16 flags;
    __u32 pid;
};

struct exec_record {
    struct head head;
    __u64 start_ns;
    __u64 inode;
    __s64 modified_s;
    __u64 cgroup;
    __u32 device;
    __u32 ppid;
    __u32 uid;
    __u32 login_uid;
    __u16 image_bytes, folder_bytes, arguments_bytes, environment_bytes;
    /* image and folder: names from the last to the first, each with its zero byte */
};

struct fork_record {
    struct head head;
    __u64 start_ns;
    __u32 ppid;
    __u32 reserved;
};

struct socket_record {
    struct head head;
    __u32 uid;
    __u16 protocol;
    __u16 family;
    __u16 local_port, remote_port;
    __u32 reserved;
    __u8 local[16], remote[16]; /* the first four bytes where the family is AF_INET */
};

#define TEXT_BYTES 256

struct activity_record {
    struct head head;
    __u32 uid;
    __u16 activity;
    __u16 text_bytes;
    __u64 value;
    char text[TEXT_BYTES];
};

#define MAX_CALLS 512

/* Set by the loader before the object is loaded (struct of the same name in object.py). */
struct options {
    __u64 shared_bytes; /* how far classes other than processes may fill the ring */
    __u32 has_environment;
    __u32 reserved;
    __u8 calls[MAX_CALLS];        /* system call -> activity, 0: none */
    __u8 compat_calls[MAX_CALLS]; /* of 32-bit programs on a 64-bit kernel */
};

struct counters {
    __u64 lost[CLASSES];
    __u64 repeated;
    __u64 unreadable;
};

const volatile struct options options = {0};
struct counters counters = {0};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20); /* the loader sets it */
} ring SEC(".maps");

static __always_inline void lose(enum event_class event_class)
{
    __sync_fetch_and_add(&counters.lost[event_class], 1);
}

static __always_inline int has_room(void)
{
    return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < options.shared_bytes;
}

static __always_inline void begin(struct head *head, enum kind kind, __u32 pid)
{
    head->at_ns = bpf_ktime_get_boot_ns();
    head->kind = kind;
    head->flags = 0;
    head->pid = pid;
}

static __always_inline struct task_struct *current_leader(void)
{
    struct task_struct *task = (void *)bpf_get_current_task();

    return BPF_CORE_READ(task, group_leader);
}
