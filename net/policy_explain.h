#pragma once
/*
 * Predicts verdicts, by the same functions that make them. Pure.
 */
#include "net/policy.h"

/*
 * policy_explain() - what would happen, and which rule says so, without sending anything
 * @target: URL, "name[:port]", "address[:port]", "[address]:port" with "/tcp", "/udp" or "/icmp" at its end; "host"
 * @ret: lines, cut at @size
 * Return: false when the target cannot be read; then @ret says why
 */
bool policy_explain(const struct policy *p, const struct policy_host *host, const char *target, char *ret,
                    size_t size);
