/* SPDX-License-Identifier: ISC */
/* What for: vsock listening and accepting. Trusts: the kernel for the
 * peer's CID and port. At a bound: the backlog is the kernel's. */
#include "lib/vsock.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h> /* after sys/socket.h */

#define BACKLOG 1024 /* all guests share it */

static int
listen_errno(int e)
{
	switch (e) {
	case EAFNOSUPPORT:
	case ENODEV:
	case EADDRNOTAVAIL:
		return ERR_UNAVAILABLE;
	case EADDRINUSE:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
		return ERR_DENIED;
	default:
		return ERR_IO;
	}
}

int
vsock_listen(uint32_t port, int *fd)
{
	struct sockaddr_vm a = {.svm_family = AF_VSOCK,
	    .svm_cid = VMADDR_CID_ANY,
	    .svm_port = port};
	int s = socket(
	    AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (s < 0)
		return listen_errno(errno);
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(s, BACKLOG) != 0) {
		int r = listen_errno(errno);
		close(s);
		return r;
	}
	*fd = s;
	return 0;
}

static int
accept_errno(int e)
{
	switch (e) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
		return ERR_NOMEM;
	case EAGAIN:
		return ERR_NOT_FOUND;
	default: /* EINTR, or one that was gone before we came */
		return ERR_DENIED;
	}
}

int
vsock_accept(int listener, struct vsock_peer *peer, int *fd)
{
	struct sockaddr_vm a = {0};
	socklen_t n = sizeof(a);
	int s = accept4(listener, (struct sockaddr *)&a, &n,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (s < 0)
		return accept_errno(errno);
	if (n < sizeof(a) || a.svm_family != AF_VSOCK) {
		close(s);
		return ERR_DENIED;
	}
	*peer = (struct vsock_peer){.cid = a.svm_cid, .port = a.svm_port};
	*fd = s;
	return 0;
}
