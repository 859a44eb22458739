/* What the kernel guards: modules, mounts, ptrace, eBPF programs, files in memory, ids, capabilities.
 *
 * Rule 1: the kernel has no hooks of its own for most of these, so the end of system calls is
 * watched; only calls that succeeded are told. Which numbers mean what is set by the loader.
 * Rule 2: text is read from the caller's memory after the call: another thread may have changed it.
 */
#pragma once

#include "process.h"

#define TS_COMPAT 0x2           /* arch/x86/include/asm/thread_info.h */
#define TIF_32BIT (1UL << 22)   /* arch/arm64/include/asm/thread_info.h */

/* The numbers of model/event.py's Activity, from 1, and ways to read the arguments. */
enum activity {
    MODULE_LOAD = 1,
    MODULE_UNLOAD = 2,
    MOUNT = 3,
    UNMOUNT = 4,
    PTRACE = 5,
    UID_CHANGE = 6,
    CAPABILITY_CHANGE = 7,
    BPF_LOAD = 8,
    MEMFD_CREATE = 9,
    SIGNAL = 10,
    MEMORY_ACCESS = 11,
    TIME_SET = 12,
};

/* What the loader puts into options.calls. */
enum call {
    CALL_INIT_MODULE = 1,
    CALL_DELETE_MODULE = 2,
    CALL_MOUNT = 3,
    CALL_MOVE_MOUNT = 4,
    CALL_UNMOUNT = 5,
    CALL_PTRACE = 6,
    CALL_SET_UID = 7,
    CALL_SET_GID = 8,
    CALL_SET_CAPABILITIES = 9,
    CALL_BPF = 10,
    CALL_MEMFD = 11,
    CALL_VM = 12,
    CALL_SET_CLOCK = 13,
    CALL_SET_TIME = 14,
};

/* include/uapi/asm-generic/siginfo.h, include/linux/sched/signal.h, include/uapi/linux/time.h */
#define SI_USER 0
#define SI_QUEUE -1
#define SI_TKILL -6
#define SEND_SIG_PRIV 1UL
#define CLOCK_REALTIME 0

#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206
#define BPF_ATTR_NAME 48 /* offset of prog_name in union bpf_attr */

struct arguments {
    __u64 first, second, fourth;
};

/* Processes whose signals and memory are told: the agent's own, set by the loader. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, __u32);
    __type(value, __u8);
} guarded SEC(".maps");

static __always_inline int is_guarded(__u32 pid)
{
    return bpf_map_lookup_elem(&guarded, &pid) != 0;
}

/* Read directly, without a helper: this runs at every system call of the device. */
static __always_inline long call_number(struct pt_regs *registers)
{
    struct pt_regs___x86 *x86 = (void *)registers;
    struct pt_regs___arm64 *arm64 = (void *)registers;

    if (bpf_core_field_exists(x86->orig_ax))
        return x86->orig_ax;
    if (bpf_core_field_exists(arm64->syscallno))
        return arm64->syscallno;
    return -1;
}

/* Whether a 32-bit program called a 64-bit kernel: its calls have other numbers. */
static __always_inline int is_compat(void)
{
    struct task_struct___x86 *x86 = (void *)bpf_get_current_task();
    struct task_struct___arm64 *arm64 = (void *)x86;

    if (bpf_core_field_exists(x86->thread_info.status))
        return BPF_CORE_READ(x86, thread_info.status) & TS_COMPAT;
    if (bpf_core_field_exists(struct pt_regs___arm64, syscallno))
        return (BPF_CORE_READ(arm64, thread_info.flags) & TIF_32BIT) != 0;
    return 0;
}

static __always_inline struct arguments arguments_of(struct pt_regs *registers, int is_32bit)
{
    struct pt_regs___x86 *x86 = (void *)registers;
    struct pt_regs___arm64 *arm64 = (void *)registers;
    struct arguments found = {};

    if (bpf_core_field_exists(x86->orig_ax) && is_32bit) {
        found.first = BPF_CORE_READ(x86, bx);
        found.second = BPF_CORE_READ(x86, cx);
        found.fourth = BPF_CORE_READ(x86, si);
    } else if (bpf_core_field_exists(x86->orig_ax)) {
        found.first = BPF_CORE_READ(x86, di);
        found.second = BPF_CORE_READ(x86, si);
        found.fourth = BPF_CORE_READ(x86, r10);
    } else if (bpf_core_field_exists(arm64->orig_x0)) {
        found.first = BPF_CORE_READ(arm64, orig_x0);
        found.second = BPF_CORE_READ(arm64, regs[1]);
        found.fourth = BPF_CORE_READ(arm64, regs[3]);
    }
    return found;
}

static __always_inline struct activity_record *reserve_activity(enum activity activity)
{
    struct activity_record *record = 0;
    struct task_struct *leader = current_leader();

    if (has_room()) {
        introduce(leader);
        record = bpf_ringbuf_reserve(&ring, sizeof *record, 0);
    }
    if (!record) {
        lose(CLASS_KERNEL);
        return 0;
    }
    begin(&record->head, KIND_ACTIVITY, BPF_CORE_READ(leader, tgid));
    record->uid = bpf_get_current_uid_gid();
    record->activity = activity;
    record->text_bytes = 0;
    record->value = 0;
    return record;
}

static __noinline void tell_text(enum activity activity, __u64 text)
{
    struct activity_record *record = reserve_activity(activity);
    long bytes;

    if (!record)
        return;
    bytes = bpf_probe_read_user_str(record->text, TEXT_BYTES, (void *)text);
    record->text_bytes = bytes > 0 ? bytes : 0;
    bpf_ringbuf_submit(record, 0);
}

static __noinline void tell_value(enum activity activity, __u64 value, int is_group)
{
    struct activity_record *record = reserve_activity(activity);

    if (!record)
        return;
    record->value = value;
    if (is_group) {
        __builtin_memcpy(record->text, "gid", 3);
        record->text_bytes = 3;
    }
    bpf_ringbuf_submit(record, 0);
}

static __always_inline const struct cred *credentials(void)
{
    struct task_struct *task = (void *)bpf_get_current_task();

    return BPF_CORE_READ(task, cred);
}

static __always_inline void tell_call(__u8 call, struct pt_regs *registers, int is_32bit)
{
    struct arguments given = arguments_of(registers, is_32bit);
    struct cred___capabilities *capabilities = (void *)credentials();
    __u64 effective = 0;

    switch (call) {
    case CALL_INIT_MODULE:
        tell_value(MODULE_LOAD, 0, 0);
        break;
    case CALL_DELETE_MODULE:
        tell_text(MODULE_UNLOAD, given.first);
        break;
    case CALL_MOUNT:
        tell_text(MOUNT, given.second);
        break;
    case CALL_MOVE_MOUNT:
        tell_text(MOUNT, given.fourth);
        break;
    case CALL_UNMOUNT:
        tell_text(UNMOUNT, given.first);
        break;
    case CALL_PTRACE:
        if (given.first == PTRACE_ATTACH || given.first == PTRACE_SEIZE)
            tell_value(PTRACE, given.second, 0);
        break;
    case CALL_SET_UID:
        tell_value(UID_CHANGE, BPF_CORE_READ(credentials(), euid.val), 0);
        break;
    case CALL_SET_GID:
        tell_value(UID_CHANGE, BPF_CORE_READ(credentials(), egid.val), 1);
        break;
    case CALL_SET_CAPABILITIES:
        bpf_core_read(&effective, sizeof effective, &capabilities->cap_effective);
        tell_value(CAPABILITY_CHANGE, effective, 0);
        break;
    case CALL_BPF:
        if (given.first == BPF_PROG_LOAD)
            tell_text(BPF_LOAD, given.second + BPF_ATTR_NAME);
        break;
    case CALL_MEMFD:
        tell_text(MEMFD_CREATE, given.first);
        break;
    case CALL_VM:
        if (is_guarded(given.first) && !is_guarded(bpf_get_current_pid_tgid() >> 32))
            tell_value(MEMORY_ACCESS, given.first, 0);
        break;
    case CALL_SET_CLOCK:
        if (given.first == CLOCK_REALTIME)
            tell_value(TIME_SET, 0, 0);
        break;
    case CALL_SET_TIME:
        tell_value(TIME_SET, 0, 0);
        break;
    }
}

/* A signal that a process sent to one of ours; its parent may, and so may another one of ours. */
SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int number, struct kernel_siginfo *info, struct task_struct *target)
{
    __u32 receiver = BPF_CORE_READ(target, tgid);
    __u32 sender = bpf_get_current_pid_tgid() >> 32;
    int code;

    if (!is_guarded(receiver) || is_guarded(sender))
        return 0;
    if (sender == (__u32)BPF_CORE_READ(target, real_parent, tgid))
        return 0;
    if ((unsigned long)info <= SEND_SIG_PRIV)
        return 0;
    code = BPF_CORE_READ(info, si_code);
    if (code == SI_USER || code == SI_QUEUE || code == SI_TKILL)
        tell_value(SIGNAL, receiver | (__u64)number << 32, 0);
    return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_call, struct pt_regs *registers, long result)
{
    int is_32bit;
    long number;
    __u8 call;

    if (result < 0)
        return 0;
    number = call_number(registers);
    if (number < 0 || number >= MAX_CALLS)
        return 0;
    call = options.calls[number];
    /* Hardly any number means something in either way to call: the rest is no work. */
    if (!call && !options.compat_calls[number])
        return 0;
    is_32bit = is_compat();
    if (is_32bit)
        call = options.compat_calls[number];
    if (call)
        tell_call(call, registers, is_32bit);
    return 0;
}

static __always_inline void tell_module(enum activity activity, struct module *module)
{
    struct activity_record *record = reserve_activity(activity);
    long bytes;

    if (!record)
        return;
    bytes = bpf_probe_read_kernel_str(record->text, 56, &module->name);
    record->text_bytes = bytes > 0 ? bytes : 0;
    bpf_ringbuf_submit(record, 0);
}

SEC("tp_btf/module_load")
int BPF_PROG(on_module_load, struct module *module)
{
    tell_module(MODULE_LOAD, module);
    return 0;
}

SEC("tp_btf/module_free")
int BPF_PROG(on_module_unload, struct module *module)
{
    tell_module(MODULE_UNLOAD, module);
    return 0;
}
