/*
 * The program that bench/exec runs in the guest: without arguments it is `true`.
 * Input:  nothing, or how often to fork, execute and wait for itself.
 * Runs:   started by the agent.
 * Limits: none.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
        long n = argc > 1 ? strtol(argv[1], NULL, 10) : 0;

        for (long i = 0; i < n; i++) {
                pid_t pid = fork();
                int status;

                if (!pid) {
                        (void)execl(argv[0], argv[0], NULL);
                        _exit(127);
                }
                if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
                        return 1;
        }
        return 0;
}
