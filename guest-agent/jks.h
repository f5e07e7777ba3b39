/* SPDX-License-Identifier: ISC */
/*
 * A trust store as Java reads it ("JKS", sun.security.provider.JavaKeyStore):
 * the certificates of a PEM bundle. All public. Its digest, which a password
 * would be checked with, is left out: Java opens a trust store without one.
 */
#ifndef GUEST_JKS_H
#define GUEST_JKS_H

#include "guest-agent/text.h"

/* Append it to out. A certificate that is no base64 is left out. */
void jks_make(const char *pem, struct text *out);

#endif
