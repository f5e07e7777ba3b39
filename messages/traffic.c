/* SPDX-License-Identifier: ISC */
/* What for: the tables of traffic.h. Trusts: nothing. At a bound: lib/msg
 * refuses. */
#include "messages/traffic.h"

static const struct msg_field connect[] = {
	MSG_FIELD_U32(struct traffic_connect, conn),
	MSG_FIELD_SPAN(struct traffic_connect, family, 32),
	MSG_FIELD_SPAN(struct traffic_connect, host, 255),
	MSG_FIELD_U16(struct traffic_connect, port),
};
const struct msg_type msg_traffic_connect = MSG_TYPE(
    0x0901, "traffic_connect", struct traffic_connect, connect, MSG_NO_FD);

static const struct msg_field connect_done[] = {
	MSG_FIELD_U32(struct traffic_connect_done, conn),
	MSG_FIELD_U8(struct traffic_connect_done, way),
};
const struct msg_type msg_traffic_connect_done =
    MSG_TYPE(0x0902, "traffic_connect_done", struct traffic_connect_done,
	connect_done, MSG_NO_FD);

static const struct msg_field conn_end[] = {
	MSG_FIELD_U32(struct traffic_conn_end, conn),
};
const struct msg_type msg_traffic_conn_end = MSG_TYPE(
    0x0903, "traffic_conn_end", struct traffic_conn_end, conn_end, MSG_NO_FD);

static const struct msg_field tunnel[] = {
	MSG_FIELD_U32(struct traffic_tunnel, stream),
	MSG_FIELD_U32(struct traffic_tunnel, conn),
	MSG_FIELD_SPAN(struct traffic_tunnel, family, 32),
	MSG_FIELD_SPAN(struct traffic_tunnel, sni, 255),
};
const struct msg_type msg_traffic_tunnel = MSG_TYPE(
    0x0904, "traffic_tunnel", struct traffic_tunnel, tunnel, MSG_NO_FD);

static const struct msg_field request[] = {
	MSG_FIELD_U32(struct traffic_request, stream),
	MSG_FIELD_U32(struct traffic_request, conn),
	MSG_FIELD_U8(struct traffic_request, way),
	MSG_FIELD_U8(struct traffic_request, body),
	MSG_FIELD_U8(struct traffic_request, expect),
	MSG_FIELD_U8(struct traffic_request, upgrade),
	MSG_FIELD_U8(struct traffic_request, te),
	MSG_FIELD_U64(struct traffic_request, length),
	MSG_FIELD_SPAN(struct traffic_request, family, 32),
	MSG_FIELD_SPAN(struct traffic_request, sni, 255),
	MSG_FIELD_SPAN(struct traffic_request, host, 255),
	MSG_FIELD_U16(struct traffic_request, port),
	MSG_FIELD_SPAN(struct traffic_request, grant, 64),
	MSG_FIELD_SPAN(struct traffic_request, header_host, 300),
	MSG_FIELD_SPAN(struct traffic_request, method, 32),
	MSG_FIELD_SPAN(struct traffic_request, target, 32 * 1024),
	MSG_FIELD_SPAN(struct traffic_request, headers, TRAFFIC_HEAD_MAX),
};
const struct msg_type msg_traffic_request = MSG_TYPE(
    0x0905, "traffic_request", struct traffic_request, request, MSG_NO_FD);

static const struct msg_field response[] = {
	MSG_FIELD_U32(struct traffic_response, stream),
	MSG_FIELD_U16(struct traffic_response, status),
	MSG_FIELD_U8(struct traffic_response, body),
	MSG_FIELD_U64(struct traffic_response, length),
	MSG_FIELD_U8(struct traffic_response, has_length),
	MSG_FIELD_SPAN(struct traffic_response, headers, TRAFFIC_HEAD_MAX),
};
const struct msg_type msg_traffic_interim = MSG_TYPE(
    0x0906, "traffic_interim", struct traffic_response, response, MSG_NO_FD);
const struct msg_type msg_traffic_response = MSG_TYPE(
    0x0907, "traffic_response", struct traffic_response, response, MSG_NO_FD);

static const struct msg_field bytes[] = {
	MSG_FIELD_U32(struct traffic_bytes, stream),
	MSG_FIELD_SPAN(struct traffic_bytes, bytes, TRAFFIC_BODY_MAX),
};
const struct msg_type msg_traffic_bytes = MSG_TYPE(
    0x0908, "traffic_bytes", struct traffic_bytes, bytes, MSG_NO_FD);

static const struct msg_field end[] = {
	MSG_FIELD_U32(struct traffic_end, stream),
	MSG_FIELD_SPAN(struct traffic_end, trailers, TRAFFIC_TRAILERS_MAX),
};
const struct msg_type msg_traffic_end =
    MSG_TYPE(0x0909, "traffic_end", struct traffic_end, end, MSG_NO_FD);

static const struct msg_field window[] = {
	MSG_FIELD_U32(struct traffic_window, stream),
	MSG_FIELD_U32(struct traffic_window, credit),
};
const struct msg_type msg_traffic_window = MSG_TYPE(
    0x090a, "traffic_window", struct traffic_window, window, MSG_NO_FD);

static const struct msg_field reset[] = {
	MSG_FIELD_U32(struct traffic_reset, stream),
	MSG_FIELD_U16(struct traffic_reset, reason),
};
const struct msg_type msg_traffic_reset = MSG_TYPE(
    0x090b, "traffic_reset", struct traffic_reset, reset, MSG_NO_FD);

static const struct msg_field refused[] = {
	MSG_FIELD_U32(struct traffic_refused, stream),
	MSG_FIELD_U16(struct traffic_refused, reason),
	MSG_FIELD_SPAN(struct traffic_refused, grant, 64),
	MSG_FIELD_SPAN(struct traffic_refused, detail, 512),
	MSG_FIELD_U32(struct traffic_refused, retry_after),
};
const struct msg_type msg_traffic_refused = MSG_TYPE(
    0x090c, "traffic_refused", struct traffic_refused, refused, MSG_NO_FD);

static const struct msg_field note[] = {
	MSG_FIELD_U16(struct traffic_note, reason),
	MSG_FIELD_SPAN(struct traffic_note, family, 32),
	MSG_FIELD_SPAN(struct traffic_note, method, 32),
	MSG_FIELD_SPAN(struct traffic_note, host, 255),
	MSG_FIELD_SPAN(struct traffic_note, target, 512),
	MSG_FIELD_U16(struct traffic_note, port),
};
const struct msg_type msg_traffic_note =
    MSG_TYPE(0x090d, "traffic_note", struct traffic_note, note, MSG_NO_FD);

static int
put_short(struct buf *b, struct span s)
{
	int r;

	if (s.n > UINT16_MAX)
		return ERR_TOO_BIG;
	if ((r = buf_put_u16(b, (uint16_t)s.n)) != 0)
		return r;
	return buf_put_span(b, s);
}

int
headers_put(struct buf *b, struct span name, struct span value)
{
	int r = put_short(b, name);

	return r != 0 ? r : put_short(b, value);
}

static int
take_short(struct span *list, struct span *out)
{
	if (list->n < 2)
		return ERR_FORMAT;
	size_t n = (size_t)list->p[0] << 8 | list->p[1];
	*list = span_from(*list, 2);
	if (list->n < n)
		return ERR_FORMAT;
	*out = n == 0 ? span_of(NULL, 0) : span_of(list->p, n);
	*list = span_from(*list, n);
	return 0;
}

int
headers_next(struct span *list, struct span *name, struct span *value)
{
	if (list->n == 0)
		return ERR_NOT_FOUND;
	int r = take_short(list, name);
	return r != 0 ? r : take_short(list, value);
}

static const struct msg_field cut[] = {
	MSG_FIELD_U32(struct traffic_cut, serial),
};
const struct msg_type msg_traffic_cut = MSG_TYPE(
    0x090e, "traffic_cut", struct traffic_cut, cut, MSG_NO_FD);
