/* SPDX-License-Identifier: ISC */
/* What a guest without our agent may do over vsock: dial CID PORT [COUNT].
 * Standard input goes there, what comes back to standard output. With COUNT
 * that many connections are made, held, and counted: how many were closed
 * on us. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* linux/vm_sockets.h, which the static libc's compiler does not see. */
struct address {
	unsigned short family, reserved;
	unsigned port, cid;
	unsigned char zero[4];
};

static int
dial(char **argv)
{
	struct address a = {.family = AF_VSOCK,
	    .cid = (unsigned)strtoul(argv[1], NULL, 10),
	    .port = (unsigned)strtoul(argv[2], NULL, 10)};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int
flood(char **argv)
{
	int count = atoi(argv[3]), closed = 0;
	struct pollfd *p = calloc((size_t)count, sizeof(*p));

	for (int i = 0; p != NULL && i < count; i++)
		p[i] = (struct pollfd){.fd = dial(argv), .events = POLLIN};
	sleep(3);
	for (int i = 0; p != NULL && i < count; i++)
		closed += p[i].fd < 0 || poll(&p[i], 1, 0) == 1;
	printf("%d closed\n", closed);
	return 0;
}

int
main(int argc, char **argv)
{
	char buf[65536];
	ssize_t n;
	int fd;

	if (argc == 4)
		return flood(argv);
	if (argc != 3 || (fd = dial(argv)) < 0) {
		perror("dial");
		return 1;
	}
	while ((n = read(0, buf, sizeof(buf))) > 0) {
		if (write(fd, buf, (size_t)n) != n)
			break;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		(void)!write(1, buf, (size_t)n);
	return 0;
}
