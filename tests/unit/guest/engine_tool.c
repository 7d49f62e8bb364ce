/*
 * The agent's engine for a test in another language: says where its socket is, and lives as long as its input.
 */
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/guest/engine.h"

int main(void)
{
        struct engine engine;
        char byte;

        engine_start(&engine, NULL);
        printf("%s\n%d\n", engine.path, engine.pid);
        fflush(stdout);
        while (read(0, &byte, 1) > 0)
                continue;
        engine_stop(&engine);
        return 0;
}
