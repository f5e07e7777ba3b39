/* SPDX-License-Identifier: ISC */
/* What for: relay a terminal. Trusts: the user's terminal; of the guest's
 * side it takes bytes only. At a bound (a full buffer): stops reading. */
#include "cli/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Output first: standard input may have been opened for reading only. */
static int
find_screen(void)
{
	return isatty(1) ? 1 : isatty(2) ? 2 : isatty(0) ? 0 : -1;
}

static int
make_pair(struct pty *p)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	if (tcgetattr(p->screen, &p->saved) != 0)
		return ERR_IO;
	/* A terminal without a size gets the usual one. */
	(void)ioctl(p->screen, TIOCGWINSZ, &size);
	if (openpty(&p->master, &p->slave, NULL, &p->saved, &size) != 0)
		return ERR_IO;
	if (fcntl(p->master, F_SETFD, FD_CLOEXEC) != 0 ||
	    fcntl(p->slave, F_SETFD, FD_CLOEXEC) != 0 ||
	    fcntl(p->master, F_SETFL, O_RDWR | O_NONBLOCK) != 0)
		return ERR_IO;
	return 0;
}

int
pty_open(struct pty *p)
{
	*p = (struct pty){.screen = find_screen(),
	    .keys = isatty(0) ? 0 : -1,
	    .master = -1,
	    .slave = -1};
	if (p->screen < 0)
		return 0;
	return make_pair(p);
}

int
pty_enter(const struct pty *p)
{
	if (p->screen < 0)
		return 0;
	if (ioctl(p->slave, TIOCSCTTY, 0) != 0)
		return ERR_IO;
	for (int fd = 0; fd < 3; fd++)
		if (isatty(fd) && dup2(p->slave, fd) < 0)
			return ERR_IO;
	return 0;
}

int
pty_relay(struct pty *p)
{
	struct termios raw;

	if (p->screen < 0)
		return 0;
	close(p->slave);
	p->slave = -1;
	if (p->keys < 0)
		return 0;
	raw = p->saved;
	cfmakeraw(&raw);
	if (tcsetattr(p->keys, TCSADRAIN, &raw) != 0)
		return ERR_IO;
	p->raw = true;
	return 0;
}

void
pty_resize(const struct pty *p)
{
	struct winsize size;

	/* A window without a size changes nothing. */
	if (p->screen >= 0 && ioctl(p->screen, TIOCGWINSZ, &size) == 0)
		(void)ioctl(p->master, TIOCSWINSZ, &size);
}

/* False at the end of the stream. */
static bool
fill(struct pty_flow *f, int fd)
{
	ssize_t n = read(fd, f->buf, sizeof(f->buf));

	f->start = 0;
	f->n = n > 0 ? (size_t)n : 0;
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static bool
drain(struct pty_flow *f, int fd)
{
	ssize_t n = write(fd, f->buf + f->start, f->n);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	f->start += (size_t)n;
	f->n -= (size_t)n;
	return true;
}

void
pty_poll(const struct pty *p, struct pollfd slots[static 3])
{
	short master =
	    (short)((p->out.n == 0 ? POLLIN : 0) | (p->in.n > 0 ? POLLOUT : 0));
	bool on = p->screen >= 0;

	slots[0] = (struct pollfd){
	    .fd = on && p->in.n == 0 ? p->keys : -1, .events = POLLIN};
	slots[1] = (struct pollfd){
	    .fd = on && p->out.n > 0 ? p->screen : -1, .events = POLLOUT};
	slots[2] = (struct pollfd){
	    .fd = on && master != 0 ? p->master : -1, .events = master};
}

static void
master_close(struct pty *p)
{
	close(p->master);
	p->master = -1;
	p->in.n = 0;
}

void
pty_step(struct pty *p, const struct pollfd slots[static 3])
{
	bool on = true;

	if (slots[0].revents != 0 && !fill(&p->in, p->keys))
		p->keys = -1; /* the user's terminal is gone */
	if (slots[1].revents != 0 && !drain(&p->out, p->screen))
		p->out.n = 0;
	if (slots[2].revents & POLLOUT)
		on = drain(&p->in, p->master);
	if (on && p->out.n == 0 && (slots[2].revents & (POLLIN | POLLHUP)))
		on = fill(&p->out, p->master);
	if (!on)
		master_close(p);
}

void
pty_close(struct pty *p)
{
	struct pollfd ready = {.fd = p->master, .events = POLLIN};

	if (p->screen < 0)
		return;
	/* What the command wrote before it ended. */
	while (p->out.n > 0
		   ? drain(&p->out, p->screen)
		   : poll(&ready, 1, 0) > 0 && fill(&p->out, p->master))
		continue;
	if (p->raw)
		(void)tcsetattr(0, TCSADRAIN, &p->saved); /* best effort */
	if (p->slave >= 0)
		close(p->slave);
	if (p->master >= 0)
		close(p->master);
	p->screen = p->keys = p->master = p->slave = -1;
	memset(&p->in, 0, sizeof(p->in));
}
