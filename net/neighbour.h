#pragma once
/*
 * Who has which address on the wire: ARP, neighbour and router solicitations of the guest are answered. The answers
 * never change: everything that is not the guest is the gateway. Nothing is kept.
 */
#include "net/frame_parse.h"
#include "net/stream.h"

/* @f: an ARP frame */
void neighbour_arp(struct stream *stream, const struct lan *lan, const struct frame *f);
/* neighbour_icmp6() - Return: whether it was a message about neighbours, answered or not. */
bool neighbour_icmp6(struct stream *stream, const struct lan *lan, const struct frame *f);
