/* SPDX-License-Identifier: ISC */
/* What for: kinds of channels, as the admin API names them. Trusts: the
 * caller for which guest is whose; not for form. At a bound: 400, or 409
 * for a CID that has a session. */
#include "minter/channel.h"

#include "keys/json.h"
#include "messages/channel.h"
#include "minter/api.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_ROOM 4000 /* with prefix and port it fits SESSION_DIR_MAX */

static bool
bad(struct admin_call *call, const char *what)
{
	admin_problem(call, 400, "bad channel",
	    "docs/admin-api.md shows the call.", "%s", what);
	return false;
}

/* In a log, a message and an audit line it stands on one line. */
static bool
is_path(const char *path)
{
	size_t n = strlen(path);

	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)path[i] < ' ' || path[i] == 0x7f)
			return false;
	}
	return path[0] == '/' && n <= PATH_ROOM;
}

static bool
read_uid(struct admin_call *call, const json_t *c, struct session *s)
{
	uint64_t uid = geteuid();
	int r = json_u64(c, "uid", UINT32_MAX - 1, &uid);

	if (r != 0 && r != ERR_NOT_FOUND)
		return bad(call, "uid is no user id.");
	s->channel_uid = (uint32_t)uid;
	return true;
}

static bool
read_unix(struct admin_call *call, const json_t *c, struct session *s)
{
	const char *dir = json_text(c, "dir");

	if (!read_uid(call, c, s))
		return false;
	if (json_object_get(c, "dir") != NULL && dir == NULL)
		return bad(call, "dir is no string.");
	if (dir == NULL || dir[0] == '\0')
		return true;
	if (!is_path(dir))
		return bad(call,
		    "dir is no absolute path without control characters.");
	s->channel_ours = false;
	(void)snprintf(s->channel_dir, sizeof(s->channel_dir), "%s", dir);
	return true;
}

/* PATH and port become the name that the VMM connects to: PATH_PORT. */
static bool
read_hybrid(struct admin_call *call, const json_t *c, struct session *s)
{
	const char *path = json_text(c, "path"), *base;
	uint64_t port = CHANNEL_PORT;

	if (!read_uid(call, c, s))
		return false;
	if (path == NULL || !is_path(path))
		return bad(call,
		    "path is no absolute path without control characters.");
	base = strrchr(path, '/') + 1;
	if (base[0] == '\0')
		return bad(call, "path is a directory.");
	int r = json_u64(c, "port", UINT32_MAX - 1, &port);
	if ((r != 0 && r != ERR_NOT_FOUND) || port == 0)
		return bad(call, "port is no vsock port.");
	s->channel_ours = false;
	(void)snprintf(s->channel_dir, sizeof(s->channel_dir), "%s:%s_%llu",
	    channel_kind_name(CHANNEL_HYBRID), path, (unsigned long long)port);
	return true;
}

/* CID 1 is every process of this machine: whoever wants that says so in
 * words, and cannot mean something else by a number. */
static bool
read_cid(struct admin_call *call, const json_t *c, uint32_t *out)
{
	const json_t *local = json_object_get(c, "local");
	uint64_t cid = 0;
	int r = json_u64(c, "cid", UINT32_MAX - 1, &cid);

	if (local != NULL && (!json_is_true(local) || r != ERR_NOT_FOUND))
		return bad(call, "local is true, and without a cid.");
	if (local != NULL)
		cid = CHANNEL_CID_LOCAL;
	else if (r != 0 || cid < CHANNEL_CID_FIRST)
		return bad(call, "cid is no guest's: it is 3 to 4294967294.");
	*out = (uint32_t)cid;
	return true;
}

static bool
read_vsock(struct admin_call *call, const json_t *c, struct session *s)
{
	const json_t *privileged = json_object_get(c, "privileged_ports");
	char place[CHANNEL_VSOCK_MAX];
	uint32_t cid = 0;

	if (privileged != NULL && !json_is_boolean(privileged))
		return bad(call, "privileged_ports is true or false.");
	if (!read_cid(call, c, &cid))
		return false;
	channel_vsock(cid, json_is_true(privileged), place);
	s->channel_ours = false;
	s->channel_uid = CHANNEL_NO_UID;
	(void)snprintf(s->channel_dir, sizeof(s->channel_dir), "%s", place);
	return true;
}

static const struct kind {
	bool (*read)(
	    struct admin_call *call, const json_t *c, struct session *s);
	const char *members[6];
	const char *usage;
} kinds[] = {
    [CHANNEL_UNIX] = {read_unix, {"type", "dir", "uid"},
	"A unix channel has dir and uid."},
    [CHANNEL_HYBRID] = {read_hybrid, {"type", "path", "port", "uid"},
	"A hybrid channel has path, port and uid."},
    [CHANNEL_VSOCK] = {read_vsock, {"type", "cid", "local", "privileged_ports"},
	"A vsock channel has cid or local, and privileged_ports."},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

bool
channel_read(
    struct admin_call *call, const json_t *body, struct session *s)
{
	const json_t *c = json_object_get(body, "channel");
	const char *type = json_text(c, "type");

	s->channel_ours = true;
	s->channel_uid = geteuid();
	if (c == NULL)
		return true;
	if (!json_is_object(c) || type == NULL)
		return bad(call, "channel is an object with a type.");
	for (unsigned k = 0; k < N_KINDS; k++) {
		if (strcmp(type, channel_kind_name(k)) != 0)
			continue;
		return json_only(c, kinds[k].members, NULL)
			   ? kinds[k].read(call, c, s)
			   : bad(call, kinds[k].usage);
	}
	return bad(call, "The channel's type must be unix, hybrid or vsock.");
}

/* The guests that are ending are cut off: theirs is free again. */
bool
channel_is_free(
    const struct minter *m, struct admin_call *call, const struct session *mine)
{
	struct channel want, c;

	if (channel_parse(span_str(mine->channel_dir), &want) != 0 ||
	    want.kind != CHANNEL_VSOCK)
		return true; /* who binds a socket first, has it */
	for (const struct session *s = m->sessions; s != NULL; s = s->next) {
		if (s->finishing ||
		    channel_parse(span_str(s->channel_dir), &c) != 0 ||
		    c.kind != CHANNEL_VSOCK || c.cid != want.cid)
			continue;
		admin_problem(call, 409, "CID taken",
		    "End that session first: a CID is one guest's.",
		    "CID %u is the guest %s's.", (unsigned)c.cid, s->guest);
		return false;
	}
	return true;
}

static json_t *
vsock_document(const struct session *s)
{
	struct channel c;

	if (channel_parse(span_str(s->channel_dir), &c) != 0)
		return NULL;
	return json_pack("{s:s, s:I, s:I, s:b}", "type", "vsock", "cid",
	    (json_int_t)c.cid, "port", (json_int_t)s->m->vsock_port,
	    "privileged_ports", c.privileged);
}

json_t *
channel_document(const struct session *s)
{
	const char *dir = s->channel_dir;
	enum channel_kind kind = channel_kind(span_str(dir));

	if (kind == CHANNEL_VSOCK)
		return vsock_document(s);
	if (kind == CHANNEL_HYBRID)
		return json_pack("{s:s, s:s, s:I}", "type", "hybrid", "socket",
		    strchr(dir, ':') + 1, "uid", (json_int_t)s->channel_uid);
	return json_pack("{s:s, s:s, s:o, s:I}", "type", "unix", "dir", dir,
	    "socket",
	    dir[0] == '\0' ? json_string("")
			   : json_sprintf("%s/" CHANNEL_SOCKET, dir),
	    "uid", (json_int_t)s->channel_uid);
}

void
channel_claim(const struct session *s, char out[static JWT_TEXT_MAX])
{
	(void)snprintf(out, JWT_TEXT_MAX, "%s:%s",
	    channel_kind_name(channel_kind(span_str(s->channel_dir))), s->id);
}
