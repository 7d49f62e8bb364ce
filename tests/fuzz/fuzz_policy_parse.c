/*
 * A policy's text: what is understood is written again as the same policy, and decides without a fault.
 */
#include <stdlib.h>
#include <string.h>

#include "net/policy_explain.h"
#include "net/policy_parse.h"
#include "vmm/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decide(const struct policy *p, const uint8_t *data, size_t size)
{
        struct policy_flow flow = { .proto = POLICY_TCP, .port = 443 };
        struct policy_names names = { .nr = 1, .names = { "a.example.org" } };
        struct policy_host host = { 0 };
        char words[512];

        flow.address.family = size & 1 ? ADDRESS_IP4 : ADDRESS_IP6;
        memcpy(flow.address.bytes, data, flow.address.family == ADDRESS_IP4 ? 4 : 16);
        struct policy_decision d = policy_decide(p, &host, &flow, &names);

        ASSERT(d.rule >= POLICY_BY_MODE && d.rule < (int)p->nr_rules);
        (void)policy_explain(p, &host, "https://a.example.org", words, sizeof(words));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct policy p, again;
        static char text[POLICY_TEXT_MAX];
        struct policy_mistake mistake;

        if (policy_parse((const char *)data, size, &p, &mistake)) {
                size_t n = policy_write(&p, text, sizeof(text));

                ASSERT(n && policy_parse(text, n, &again, &mistake) && !memcmp(&p, &again, sizeof(p)));
                if (size >= 16)
                        decide(&p, data, size);
        } else {
                ASSERT(memchr(mistake.text, 0, sizeof(mistake.text)) && mistake.line <= size + 1);
        }
        return 0;
}
