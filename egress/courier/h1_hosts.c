/* SPDX-License-Identifier: ISC */
/* What for: who speaks HTTP/1.1 alone. Trusts: nothing: a wrong entry costs
 * time. At a bound: the oldest is forgotten. */
#include "egress/courier/h1_hosts.h"

#include <string.h>

static size_t
find(const struct h1_hosts *h, const char *name, uint16_t port)
{
	size_t i = 0;

	while (i < H1_HOSTS_MAX &&
	       (h->host[i].port != port || strcmp(h->host[i].name, name) != 0))
		i++;
	return i;
}

bool
h1_hosts_has(const struct h1_hosts *h, const char *name, uint16_t port)
{
	return find(h, name, port) < H1_HOSTS_MAX;
}

void
h1_hosts_note(
    struct h1_hosts *h, const char *name, uint16_t port, bool chose_h2)
{
	size_t i = find(h, name, port);

	if (chose_h2 && i < H1_HOSTS_MAX)
		h->host[i].port = 0;
	if (chose_h2 || i < H1_HOSTS_MAX)
		return;
	i = h->next++ % H1_HOSTS_MAX;
	if (span_copy(span_str(name), h->host[i].name, HOST_MAX) == 0)
		h->host[i].port = port;
}
