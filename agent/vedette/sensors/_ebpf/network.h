/* Connections begun and accepted, and sockets that began to listen, with their process.
 *
 * Rule 1: TCP is told by the state of its sockets: when the first packet leaves, when a handshake
 * is whole, and when a socket listens. The process of an accepted connection is the one that
 * listens: the packet that makes it whole arrives in nobody's name.
 * Rule 2: datagrams are told when a socket is connected or a datagram is sent to an address.
 * Rule 3: what one process repeats to one destination is told BURST times within WINDOW_NS, and
 * then only counted; a process that executed anew is another one.
 * Rule 4: a connection that this host makes to itself is told once, by the end that began it.
 */
#pragma once

#include "process.h"

#include <bpf/bpf_endian.h>

#define WINDOW_NS 60000000000ull
#define BURST 32          /* rules that count attempts on one service need more than one */
#define DATAGRAM_BURST 1  /* a datagram is no attempt */
#define MAX_REMEMBERED 2048

#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#define SOCK_DGRAM 2

struct destination {
    __u64 start_ns;
    __u64 executions;
    __u32 pid;
    __u16 protocol;
    __u16 port;
    __u8 address[16];
};

struct window {
    __u64 began_ns;
    __u64 count;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, MAX_REMEMBERED);
    __type(key, struct destination);
    __type(value, struct window);
} destinations SEC(".maps");

struct service {
    __u32 network; /* its namespace */
    __u32 port;
};

/* Who listens on a port; those that began before us are put in by the loader. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 512);
    __type(key, struct service);
    __type(value, __u32);
} services SEC(".maps");

/* Whether the process has told of this destination often enough. */
static __noinline int is_repeated(struct destination *destination, __u64 burst)
{
    __u64 now_ns = bpf_ktime_get_boot_ns();
    struct window *window = bpf_map_lookup_elem(&destinations, destination);
    struct window fresh = {.began_ns = now_ns, .count = 1};

    if (!window || now_ns - window->began_ns > WINDOW_NS) {
        bpf_map_update_elem(&destinations, destination, &fresh, BPF_ANY);
        return 0;
    }
    if (__sync_fetch_and_add(&window->count, 1), window->count <= burst)
        return 0;
    __sync_fetch_and_add(&counters.repeated, 1);
    return 1;
}

static __always_inline void identify(struct destination *destination, struct task_struct *leader)
{
    struct task_struct___counted *counted = (void *)leader;

    destination->start_ns = BPF_CORE_READ(leader, start_boottime);
    destination->pid = BPF_CORE_READ(leader, tgid);
    if (bpf_core_field_exists(counted->self_exec_id))
        destination->executions = BPF_CORE_READ(counted, self_exec_id);
}

/* The record in the ring; NULL where there is no room. */
static __always_inline struct socket_record *reserve_socket(enum kind kind, __u16 flags, __u32 pid)
{
    struct socket_record *record = 0;

    if (has_room())
        record = bpf_ringbuf_reserve(&ring, sizeof *record, 0);
    if (!record) {
        lose(CLASS_NETWORK);
        return 0;
    }
    __builtin_memset(record, 0, sizeof *record);
    begin(&record->head, kind, pid);
    record->head.flags = flags;
    return record;
}

static __always_inline void read_addresses(struct sock *socket, __u16 family, __u8 *local,
                                           __u8 *remote)
{
    struct sock___ipv6 *wide = (void *)socket;

    if (family == AF_INET) {
        BPF_CORE_READ_INTO((__be32 *)local, socket, __sk_common.skc_rcv_saddr);
        BPF_CORE_READ_INTO((__be32 *)remote, socket, __sk_common.skc_daddr);
    } else if (bpf_core_field_exists(wide->__sk_common.skc_v6_daddr)) {
        bpf_core_read(local, 16, &wide->__sk_common.skc_v6_rcv_saddr);
        bpf_core_read(remote, 16, &wide->__sk_common.skc_v6_daddr);
    }
}

static __noinline void write_socket(struct sock *socket, enum kind kind, __u16 flags,
                                         __u32 pid)
{
    __u16 family = BPF_CORE_READ(socket, __sk_common.skc_family);
    struct socket_record *record = reserve_socket(kind, flags, pid);

    if (!record)
        return;
    record->uid = BPF_CORE_READ(socket, sk_uid.val);
    record->protocol = BPF_CORE_READ(socket, sk_protocol);
    record->family = family;
    record->local_port = BPF_CORE_READ(socket, __sk_common.skc_num);
    record->remote_port = bpf_ntohs(BPF_CORE_READ(socket, __sk_common.skc_dport));
    read_addresses(socket, family, record->local, record->remote);
    bpf_ringbuf_submit(record, 0);
}

static __always_inline struct service service_of(struct sock *socket)
{
    struct service service = {
        .network = BPF_CORE_READ(socket, __sk_common.skc_net.net, ns.inum),
        .port = BPF_CORE_READ(socket, __sk_common.skc_num),
    };

    return service;
}

static __always_inline int is_own_address(const __u8 *local, const __u8 *remote, __u16 family)
{
    const __u32 *from = (const __u32 *)remote, *to = (const __u32 *)local;

    if (family == AF_INET)
        return from[0] == to[0] || remote[0] == 127;
    if (from[0] == to[0] && from[1] == to[1] && from[2] == to[2] && from[3] == to[3])
        return 1;
    return !from[0] && !from[1] && from[2] == bpf_htonl(0xffff) && remote[12] == 127;
}

static __always_inline void began(struct sock *socket)
{
    struct task_struct *leader = current_leader();
    struct destination destination = {};
    __u8 local[16] = {};

    identify(&destination, leader);
    destination.protocol = BPF_CORE_READ(socket, sk_protocol);
    destination.port = BPF_CORE_READ(socket, __sk_common.skc_dport);
    read_addresses(socket, BPF_CORE_READ(socket, __sk_common.skc_family), local,
                   destination.address);
    if (is_repeated(&destination, BURST))
        return;
    introduce(leader);
    write_socket(socket, KIND_CONNECTION, IS_INITIATED, destination.pid);
}

static __always_inline void accepted(struct sock *socket)
{
    struct service service = service_of(socket);
    __u16 family = BPF_CORE_READ(socket, __sk_common.skc_family);
    struct destination destination = {};
    __u32 *pid = bpf_map_lookup_elem(&services, &service);
    __u8 local[16] = {};

    read_addresses(socket, family, local, destination.address);
    if (is_own_address(local, destination.address, family))
        return;
    destination.start_ns = service.network;
    destination.pid = pid ? *pid : 0;
    destination.protocol = IPPROTO_TCP;
    destination.port = service.port;
    if (!is_repeated(&destination, BURST))
        write_socket(socket, KIND_CONNECTION, 0, destination.pid);
}

static __always_inline void listens(struct sock *socket)
{
    struct task_struct *leader = current_leader();
    struct service service = service_of(socket);
    __u32 pid = BPF_CORE_READ(leader, tgid);

    bpf_map_update_elem(&services, &service, &pid, BPF_ANY);
    introduce(leader);
    write_socket(socket, KIND_LISTENER, 0, pid);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock *socket, int before, int after)
{
    if (after == TCP_SYN_SENT)
        began(socket);
    else if (after == TCP_ESTABLISHED && before == TCP_SYN_RECV)
        accepted(socket);
    else if (after == TCP_LISTEN)
        listens(socket);
    return 0;
}

static __always_inline void write_datagram(struct bpf_sock_addr *call, enum kind kind, __u16 flags,
                                           const struct destination *destination, __u16 family)
{
    struct socket_record *record = reserve_socket(kind, flags, destination->pid);

    if (!record)
        return;
    record->uid = bpf_get_current_uid_gid();
    record->protocol = call->protocol;
    record->family = family;
    if (kind == KIND_LISTENER) {
        record->local_port = bpf_ntohs(destination->port);
        __builtin_memcpy(record->local, destination->address, 16);
    } else {
        record->remote_port = bpf_ntohs(destination->port);
        __builtin_memcpy(record->remote, destination->address, 16);
    }
    bpf_ringbuf_submit(record, 0);
}

/* A call that names an address: connect and sendmsg the other end, bind the own one. */
static __noinline int names(struct bpf_sock_addr *call, enum kind kind, __u16 family)
{
    struct task_struct *leader = current_leader();
    struct destination destination = {};
    __u32 *address = (__u32 *)destination.address;

    destination.protocol = call->protocol;
    if (destination.protocol == IPPROTO_TCP)
        return 1;
    destination.port = call->user_port;
    if (kind == KIND_LISTENER && !destination.port)
        return 1; /* any port: a client */
    identify(&destination, leader);
    if (family == AF_INET) {
        address[0] = call->user_ip4;
    } else {
        address[0] = call->user_ip6[0];
        address[1] = call->user_ip6[1];
        address[2] = call->user_ip6[2];
        address[3] = call->user_ip6[3];
    }
    if (kind == KIND_CONNECTION && is_repeated(&destination, DATAGRAM_BURST))
        return 1;
    introduce(leader);
    write_datagram(call, kind, kind == KIND_CONNECTION ? IS_INITIATED : 0, &destination, family);
    return 1;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *call)
{
    return names(call, KIND_CONNECTION, AF_INET);
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *call)
{
    return names(call, KIND_CONNECTION, AF_INET6);
}

SEC("cgroup/sendmsg4")
int on_send4(struct bpf_sock_addr *call)
{
    return names(call, KIND_CONNECTION, AF_INET);
}

SEC("cgroup/sendmsg6")
int on_send6(struct bpf_sock_addr *call)
{
    return names(call, KIND_CONNECTION, AF_INET6);
}

SEC("cgroup/bind4")
int on_bind4(struct bpf_sock_addr *call)
{
    return names(call, KIND_LISTENER, AF_INET);
}

SEC("cgroup/bind6")
int on_bind6(struct bpf_sock_addr *call)
{
    return names(call, KIND_LISTENER, AF_INET6);
}
