/* SPDX-License-Identifier: ISC */
/* What for: a seccomp program for bwrap. Trusts: libseccomp. At a bound:
 * no filter, no sandbox. */
#include "cli/sandbox_filter.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const int denied[] = {
    /* keys of the user's session keyring */
    SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key),
    /* large, and seldom right */
    SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    /* what only an administrator does */
    SCMP_SYS(pivot_root),
    SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen),
    SCMP_SYS(fsmount), SCMP_SYS(fsconfig), SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr), SCMP_SYS(setns), SCMP_SYS(chroot),
    SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(init_module),
    SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(reboot),
    SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(syslog), SCMP_SYS(quotactl),
    SCMP_SYS(acct), SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at),
    SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime), SCMP_SYS(iopl), SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt), SCMP_SYS(lookup_dcookie), SCMP_SYS(uselib),
    SCMP_SYS(vhangup)};

/* And this, unless it may make namespaces of its own. */
static const int mounting[] = {SCMP_SYS(mount), SCMP_SYS(umount2)};

/* Pushing input into a terminal, or selecting and pasting on a console. */
static const unsigned long terminal[] = {TIOCSTI, TIOCLINUX};

/* The families that a network namespace confines; all others are refused.
 * Ascending. */
static const int families[] = {
    AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

static int
deny_calls(scmp_filter_ctx ctx, bool nested)
{
	int r = 0;

	for (size_t i = 0; r == 0 && !nested && i < COUNT(mounting); i++)
		r = seccomp_rule_add(
		    ctx, SCMP_ACT_ERRNO(EPERM), mounting[i], 0);

	/* A call that this architecture has not is no failure. */
	for (size_t i = 0; r == 0 && i < COUNT(denied); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
	/* The kernel looks at 32 bits of the request: so do we. */
	for (size_t i = 0; r == 0 && i < COUNT(terminal); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
		    SCMP_SYS(ioctl), 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, terminal[i]));
	return r;
}

static int
deny_family(scmp_filter_ctx ctx, enum scmp_compare how, int family)
{
	int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket),
	    1, SCMP_A0(how, (scmp_datum_t)family));

	return r != 0 ? r
		      : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
			    SCMP_SYS(socketpair), 1,
			    SCMP_A0(how, (scmp_datum_t)family));
}

/* Each gap between known families, and all above the last: a number with
 * high bits set, which the kernel would cut off, is above. */
static int
deny_families(scmp_filter_ctx ctx)
{
	size_t last = COUNT(families) - 1;
	int r = deny_family(ctx, SCMP_CMP_GT, families[last]);

	for (size_t i = 0; i < last; i++)
		for (int f = families[i] + 1; r == 0 && f < families[i + 1];
		     f++)
			r = deny_family(ctx, SCMP_CMP_EQ, f);
	return r;
}

int
filter_open(bool nested, int *fd)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int out, r = ERR_IO;

	if (ctx == NULL)
		return ERR_NOMEM;
	out = memfd_create("seccomp", MFD_CLOEXEC);
	if (out >= 0 && deny_calls(ctx, nested) == 0 && deny_families(ctx) == 0 &&
	    seccomp_export_bpf(ctx, out) == 0 && lseek(out, 0, SEEK_SET) == 0)
		r = 0;
	if (r == 0)
		*fd = out;
	else if (out >= 0)
		close(out);
	seccomp_release(ctx);
	return r;
}
