/* SPDX-License-Identifier: ISC */
/* What for: names of a chain's files. Trusts: nothing that lies in the
 * directory. At a bound: a name that is too long is none of ours. */
#include "lib/segments.h"

#include "lib/span.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".jsonl"

void
segment_name(const char *chain, uint32_t n, char out[static SEGMENT_NAME_MAX])
{
	if (n == 1)
		(void)snprintf(out, SEGMENT_NAME_MAX, "%s" SUFFIX, chain);
	else
		(void)snprintf(
		    out, SEGMENT_NAME_MAX, "%s.%u" SUFFIX, chain, (unsigned)n);
}

bool
segment_parse(
    const char *file, char chain[static SEGMENT_CHAIN_MAX], uint32_t *n)
{
	size_t len = strcspn(file, ".");
	const char *rest = file + len;
	char again[SEGMENT_NAME_MAX];
	uint64_t number = 1;

	if (len == 0 || len >= SEGMENT_CHAIN_MAX)
		return false;
	if (strcmp(rest, SUFFIX) != 0 &&
	    span_u64(span_of((const uint8_t *)rest + 1,
			 strcspn(rest + (*rest != '\0'), ".")),
		UINT32_MAX, &number) != 0)
		return false;
	memcpy(chain, file, len);
	chain[len] = '\0';
	*n = (uint32_t)number;
	/* One spelling for each. */
	segment_name(chain, *n, again);
	return number > 0 && strcmp(again, file) == 0;
}

static void
take(int dirfd, const char *file, const char *chain, struct segments *s)
{
	char of[SEGMENT_CHAIN_MAX];
	struct stat st;
	uint32_t n;

	if (!segment_parse(file, of, &n) || strcmp(of, chain) != 0 ||
	    fstatat(dirfd, file, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	s->closed += (uint64_t)st.st_size;
	if (s->first == 0 || n < s->first)
		s->first = n;
	if (n > s->last)
		s->last = n;
}

int
segments_find(int dirfd, const char *chain, struct segments *out)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct segments s = {0};
	char last[SEGMENT_NAME_MAX];
	struct dirent *e;
	struct stat st;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	while ((e = readdir(d)) != NULL)
		take(dirfd, e->d_name, chain, &s);
	closedir(d);
	segment_name(chain, s.last, last);
	if (s.last > 0 && fstatat(dirfd, last, &st, AT_SYMLINK_NOFOLLOW) == 0)
		s.closed -= (uint64_t)st.st_size;
	*out = s;
	return 0;
}

int
segment_open(int dirfd, const char *chain, uint32_t n)
{
	char name[SEGMENT_NAME_MAX];

	segment_name(chain, n, name);
	return openat(dirfd, name,
	    O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
	    0600);
}

int
segment_read(int dirfd, const char *chain, uint32_t n)
{
	char name[SEGMENT_NAME_MAX];

	segment_name(chain, n, name);
	return openat(
	    dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}
