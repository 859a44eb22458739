/* The programs that the kernel runs for us; see the headers. Built by `make`, loaded by object.py.
 *
 * Rule 1: tp_btf and cgroup hooks only: they need neither trampolines nor kprobes, which small
 * kernels lack.
 * Rule 2: nothing here changes what the kernel does; cgroup programs always say yes.
 */
#include "activity.h"
#include "network.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
