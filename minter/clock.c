/* SPDX-License-Identifier: ISC */
/* What for: time that cannot be turned back. Trusts: CLOCK_BOOTTIME; the
 * wall clock only near its own past. At a bound: ERR_CLOCK. */
#include "minter/clock.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t
read_ms(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
clock_boot_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

int64_t
clock_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

void
clock_start(struct clock *c, int64_t wall_ms, int64_t boot_ms)
{
	*c = (struct clock){.wall_ms = wall_ms, .boot_ms = boot_ms};
}

int
clock_check(struct clock *c, int64_t wall_ms, int64_t boot_ms)
{
	int64_t expected = c->wall_ms + (boot_ms - c->boot_ms);

	if (wall_ms < expected - CLOCK_BACK_MS)
		return ERR_CLOCK;
	if (wall_ms > expected + CLOCK_BACK_MS)
		c->ahead_ms = boot_ms;
	if (wall_ms > expected) {
		c->wall_ms = wall_ms;
		c->boot_ms = boot_ms;
	}
	return 0;
}

bool
clock_settled(const struct clock *c, int64_t boot_ms)
{
	return c->ahead_ms == 0 || boot_ms - c->ahead_ms >= CLOCK_SETTLE_MS;
}

int
clock_now(struct clock *c, int64_t *seconds)
{
	int64_t wall = clock_wall_ms();
	int r = clock_check(c, wall, clock_boot_ms());

	if (r == 0)
		*seconds = wall / 1000;
	return r;
}

void
clock_boot_id(char out[static CLOCK_BOOT_ID])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, CLOCK_BOOT_ID - 1);

	out[n < 0 ? 0 : n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
}
