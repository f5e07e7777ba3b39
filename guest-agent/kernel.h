/* SPDX-License-Identifier: ISC */
/*
 * The kernel's words that a libc without kernel headers (musl's gcc wrapper)
 * does not have, from its user API: seccomp.h, filter.h, audit.h,
 * capability.h. They never change.
 */
#ifndef GUEST_KERNEL_H
#define GUEST_KERNEL_H

#include <stdint.h>

struct sock_filter {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};
struct sock_fprog {
	unsigned short len;
	struct sock_filter *filter;
};
struct seccomp_data {
	int nr;
	uint32_t arch;
	uint64_t instruction_pointer, args[6];
};

#define BPF_LOAD 0x20	 /* BPF_LD | BPF_W | BPF_ABS */
#define BPF_IF_IS 0x15	 /* BPF_JMP | BPF_JEQ | BPF_K */
#define BPF_IF_LEAST 0x35 /* BPF_JMP | BPF_JGE | BPF_K */
#define BPF_RETURN 0x06	 /* BPF_RET | BPF_K */

#define SECCOMP_MODE_FILTER 2
#define SECCOMP_KILL 0x80000000u /* SECCOMP_RET_KILL_PROCESS */
#define SECCOMP_ALLOW 0x7fff0000u
#define SECCOMP_REFUSE 0x00050000u /* SECCOMP_RET_ERRNO, and the error */

#if defined(__x86_64__)
#define KERNEL_ARCH 0xc000003eu
#elif defined(__aarch64__)
#define KERNEL_ARCH 0xc00000b7u
#else
#error "this architecture's number for seccomp is not known here"
#endif

#define KERNEL_IO_URING_SETUP 425 /* everywhere */
#define KERNEL_CLOSE_RANGE 436
#define KERNEL_TIOCLINUX 0x541c

struct cap_header {
	uint32_t version;
	int pid;
};
struct cap_data {
	uint32_t effective, permitted, inheritable;
};
#define CAP_VERSION 0x20080522 /* two cap_data */

#endif
