/*
 * vmlet version: of the tool and of what it works with.
 * Input:  none.
 * Runs:   the tool's only thread.
 * Limits: none.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "guest/protocol.h"
#include "sandbox/images.h"
#include "vmm/base/cleanup.h"

struct options {
        bool json;
};

static const struct cli_option options[] = {
        { 0, "json", CLI_FLAG, NULL, offsetof(struct options, json), "as a JSON object" },
        { 0 },
};

static int run(const struct cli_command *command, int argc, char **argv)
{
        struct out_json j = { .to = stdout };
        cleanup(freep) char *kernel = NULL;
        struct problem problem = { 0 }, ignored = { 0 };
        struct options o = { 0 };
        struct paths paths;
        int rest = 0, r = cli_parse(command, argc, argv, &o, &rest, &problem);

        if (r > 0)
                return 0;
        if (r || paths_find(&paths, &problem))
                return cli_complain(command, &problem);
        (void)!images_find_kernel(&paths, NULL, &kernel, &ignored);
        if (!o.json) {
                printf("vmlet     %s\nprotocol  %u\nkernel    %s\n", VMLET_VERSION, PROTOCOL_VERSION,
                       kernel ? kernel : "none");
                return 0;
        }
        out_json_open(&j, NULL, '{');
        out_json_text(&j, "vmlet", VMLET_VERSION);
        out_json_number(&j, "protocol", PROTOCOL_VERSION);
        out_json_text(&j, "kernel", kernel);
        out_json_close(&j, '}');
        putchar('\n');
        return 0;
}

const struct cli_command cli_version = {
        .name = "version",
        .usage = "[OPTION]...",
        .summary = "Tell the versions of the tool, its protocol and its kernel",
        .options = options,
        .run = run,
};
