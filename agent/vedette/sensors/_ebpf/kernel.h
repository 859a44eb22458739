/* The parts of the kernel's structures that we read.
 *
 * Rule 1: only fields that we read are named; where they stand is found when the object is loaded,
 * from the running kernel's own BTF (CO-RE), so that one object serves every kernel and both
 * 64-bit architectures.
 * Rule 2: a field that kernels have named differently has a flavour of its structure for each name
 * (what follows ___ is no part of the name).
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

typedef __u32 kuid_value;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
    kuid_value val;
} kuid_t;

typedef struct {
    int counter;
} atomic_t;

struct qstr {
    const unsigned char *name;
};

struct super_block {
    __u32 s_dev;
};

struct inode {
    unsigned long i_ino;
    struct super_block *i_sb;
};

struct timespec64 {
    __s64 tv_sec;
};

struct inode___seconds { /* since 6.11 */
    __s64 i_mtime_sec;
};

struct inode___hidden { /* 6.7 to 6.10 */
    struct timespec64 __i_mtime;
};

struct inode___plain { /* until 6.6 */
    struct timespec64 i_mtime;
};

struct dentry {
    struct dentry *d_parent;
    struct qstr d_name;
};

struct vfsmount {
    struct dentry *mnt_root;
};

struct mount {
    struct mount *mnt_parent;
    struct dentry *mnt_mountpoint;
    struct vfsmount mnt;
};

struct path {
    struct vfsmount *mnt;
    struct dentry *dentry;
};

struct file {
    struct path f_path;
    struct inode *f_inode;
};

struct fs_struct {
    struct path pwd;
};

struct mm_struct {
    unsigned long arg_start, arg_end, env_start, env_end;
    struct file *exe_file;
};

struct cred {
    kuid_t uid, euid, egid;
};

typedef struct {
    __u64 val; /* one number since 6.3, an array of two halves before: the same bytes */
} kernel_cap_t;

struct cred___capabilities {
    kernel_cap_t cap_effective;
};

struct signal_struct {
    atomic_t live;
};

struct kernel_siginfo {
    int si_code;
};

struct thread_info___x86 {
    __u32 status;
};

struct thread_info___arm64 {
    unsigned long flags;
};

struct task_struct {
    unsigned int flags;
    struct mm_struct *mm;
    int pid, tgid;
    struct task_struct *real_parent;
    struct task_struct *group_leader;
    __u64 start_boottime;
    const struct cred *cred;
    struct fs_struct *fs;
    struct signal_struct *signal;
};

struct task_struct___audited { /* CONFIG_AUDIT */
    kuid_t loginuid;
};

struct task_struct___counted { /* 32 bits until 5.6 */
    __u64 self_exec_id;
};

struct task_struct___x86 {
    struct thread_info___x86 thread_info;
};

struct task_struct___arm64 {
    struct thread_info___arm64 thread_info;
};

struct pt_regs___x86 {
    unsigned long bx, r10, cx, si, di, orig_ax;
};

struct pt_regs___arm64 {
    __u64 regs[31];
    __u64 orig_x0;
    __s32 syscallno;
};

struct in6_addr {
    __u8 bytes[16];
} __attribute__((preserve_access_index));

struct ns_common {
    unsigned int inum;
};

struct net {
    struct ns_common ns;
};

typedef struct {
    struct net *net;
} possible_net_t;

struct sock_common {
    __be32 skc_daddr, skc_rcv_saddr;
    __be16 skc_dport;
    __u16 skc_num;
    unsigned short skc_family;
    possible_net_t skc_net;
};

struct sock_common___ipv6 { /* CONFIG_IPV6 */
    struct in6_addr skc_v6_daddr;
    struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
    struct sock_common __sk_common;
    kuid_t sk_uid;
    __u16 sk_protocol;
};

struct sock___ipv6 {
    struct sock_common___ipv6 __sk_common;
};

struct module {
    char name[56]; /* MODULE_NAME_LEN on 64 bits */
};

#pragma clang attribute pop

/* include/linux/sched.h */
#define PF_FORKNOEXEC 0x00000040
#define PF_KTHREAD 0x00200000
/* include/uapi/linux/sched.h */
#define CLONE_VFORK 0x00004000
#define CLONE_THREAD 0x00010000
/* include/net/tcp_states.h */
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7
#define TCP_LISTEN 10
/* include/linux/socket.h */
#define AF_INET 2
#define AF_INET6 10
