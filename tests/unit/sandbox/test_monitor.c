/* Asking a monitor that is of no help. */
#include "sandbox/monitor.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "vmm/base/loop.h"

#define S 1000000000ull

static struct sandbox sandbox;

/* Return: the process that answers one client with @head, and then, a byte every 50 ms, without an end. */
static pid_t serve(const char *head)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
        pid_t pid;

        snprintf(sandbox.control, sizeof(sandbox.control), "/tmp/vmlet-test-monitor-%d", (int)getpid());
        snprintf(sandbox.id, sizeof(sandbox.id), "0123456789ab");
        memcpy(address.sun_path, sandbox.control, strlen(sandbox.control));
        ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)) | listen(listener, 1),
                         0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (!pid) {
                fd = accept(listener, NULL, NULL);
                while (send(fd, head, strlen(head), MSG_NOSIGNAL) > 0) {
                        head = "x";
                        usleep(50000);
                }
                _exit(0);
        }
        close(listener);
        return pid;
}

static void stop_serving(pid_t pid)
{
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        unlink(sandbox.control);
}

START_TEST(test_answer)
{
        struct problem p = { 0 };
        char *answer = NULL;
        pid_t pid = serve("OK 5\nhello");

        ck_assert_msg(!monitor_ask(&sandbox, "status", &answer, &p), "%s", p.text);
        ck_assert_str_eq(answer, "hello");
        free(answer);
        stop_serving(pid);
}
END_TEST

/* The time is that of the whole answer, however often something comes. */
START_TEST(test_answer_that_drips)
{
        struct problem p = { 0 };
        uint64_t start = loop_now_ns(), took;
        pid_t pid = serve("OK 100000\n");

        ck_assert_int_eq(monitor_ask(&sandbox, "status", NULL, &p), -1);
        took = loop_now_ns() - start;
        ck_assert_msg(took >= 9 * S && took < 20 * S, "%u ms", (unsigned)(took / 1000000));
        ck_assert_ptr_nonnull(strstr(p.text, "does not answer"));
        stop_serving(pid);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_answer, test_answer_that_drips };

        return run_tests("monitor", tests, array_size(tests));
}
