/*
 * vmlet doctor: tells what of this host keeps sandboxes from running, or from running well.
 * Input:  this host; the words of our own monitor's probe.
 * Runs:   the tool's only thread.
 * Limits: one line of the monitor.
 */
#include "cli/doctor.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "sandbox/images.h"
#include "sandbox/paths.h"
#include "vmm/base/cleanup.h"

struct doctor_options {
        bool json, quiet;
};

static const struct cli_option options[] = {
        { 0, "json", CLI_FLAG, NULL, offsetof(struct doctor_options, json), "print a JSON list" },
        { 'q', "quiet", CLI_FLAG, NULL, offsetof(struct doctor_options, quiet),
          "print only what is not well" },
        { 0 },
};

/* Return: the exit status of `vmm --probe` and its first line, or -1. */
static int probe(const char *vmm, char *line, size_t size)
{
        int pipe_fds[2], status = -1;
        size_t len = 0;
        ssize_t n;

        if (pipe2(pipe_fds, O_CLOEXEC))
                return -1;

        pid_t pid = fork();

        if (!pid) {
                (void)dup2(pipe_fds[1], STDOUT_FILENO);
                (void)execl(vmm, vmm, "--probe", NULL);
                _exit(127);
        }
        close(pipe_fds[1]);
        while (pid > 0 && len + 1 < size && (n = read(pipe_fds[0], line + len, size - 1 - len)) > 0)
                len += (size_t)n;
        line[len] = 0;
        line[strcspn(line, "\n")] = 0;
        close(pipe_fds[0]);
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
                return -1;
        return WEXITSTATUS(status);
}

static void look_at_kvm(const char *vmm, struct doctor_finding *f)
{
        char line[256];
        int status = probe(vmm, line, sizeof(line));

        if (status < 0 || status == 127) {
                f->level = DOCTOR_BAD;
                (void)snprintf(f->what, sizeof(f->what), "the monitor %.256s cannot be run", vmm);
                (void)snprintf(f->advice, sizeof(f->advice), "install vmm beside vmlet");
                return;
        }
        f->level = status ? DOCTOR_BAD : DOCTOR_OK;
        (void)snprintf(f->what, sizeof(f->what), "%s", line + (strncmp(line, "kvm: ", 5) ? 0 : 5));
        if (!status)
                return;
        if (strstr(line, "ermi"))
                (void)snprintf(f->advice, sizeof(f->advice),
                               "sudo usermod -aG kvm \"$USER\", and log in again");
        else if (strstr(line, "emulated"))
                (void)snprintf(f->advice, sizeof(f->advice),
                               "use a host with hardware virtualization; to try vmlet here: ./quickstart "
                               "runs guests in its lab");
        else
                (void)snprintf(f->advice, sizeof(f->advice),
                               "modprobe kvm_intel or kvm_amd; switch virtualization on in the "
                               "firmware, or nested virtualization on the host of this VM");
}

/* The guest's parts: without them there is nothing to start. */
static void look_at_guest(const struct paths *paths, struct doctor_finding *f)
{
        cleanup(freep) char *kernel = NULL;
        struct problem problem = { 0 };

        if (images_find_kernel(paths, NULL, &kernel, &problem)) {
                f->level = DOCTOR_BAD;
                (void)snprintf(f->what, sizeof(f->what), "%.319s", problem.text);
                (void)snprintf(f->advice, sizeof(f->advice),
                               "build one: kernel-config/build; or name one in VMLET_KERNEL");
        } else {
                (void)snprintf(f->what, sizeof(f->what), "the guest's kernel is %.256s", kernel);
        }
}

static void print_line(const char *name, const struct doctor_finding *f, bool colours)
{
        static const char *const colour[] = { "\033[32m", "\033[36m", "\033[33m", "\033[31m" };

        printf("%s%-5s%s %-11s %s\n", colours ? colour[f->level] : "", doctor_level_names[f->level],
               colours ? "\033[0m" : "", name, f->what);
        if (*f->advice)
                printf("%18s-> %s\n", "", f->advice);
}

static void print_json(struct out_json *j, const char *name, const struct doctor_finding *f)
{
        out_json_open(j, NULL, '{');
        out_json_text(j, "check", name);
        out_json_text(j, "level", doctor_level_names[f->level]);
        out_json_text(j, "finding", f->what);
        out_json_text(j, "advice", *f->advice ? f->advice : NULL);
        out_json_close(j, '}');
}

struct report {
        const struct doctor_options *options;
        struct out_json json;
        unsigned counts[DOCTOR_LEVEL_NR];
};

static void tell(struct report *r, const char *name, const struct doctor_finding *f)
{
        r->counts[f->level]++;
        if (r->options->json)
                print_json(&r->json, name, f);
        else if (!r->options->quiet || f->level >= DOCTOR_WARN)
                print_line(name, f, out_has_colours(stdout));
}

/* Cuts @path down to what is there already: looking changes nothing. Return: @path. */
static const char *existing(char *path)
{
        char *slash;

        while (access(path, F_OK) && (slash = strrchr(path, '/')) && slash != path)
                *slash = 0;
        return path;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        struct doctor_options o = { 0 };
        struct doctor_host host = { .root = "", .uid = getuid(), .gid = getgid() };
        struct report report = { .options = &o, .json = { .to = stdout } };
        struct doctor_finding finding = { 0 };
        struct problem problem = { 0 };
        char vmm[PATHS_MAX];
        struct paths paths;
        struct stat st;
        int rest = 0, r = cli_parse(command, argc, argv, &o, &rest, &problem);

        if (r > 0)
                return 0;
        if (!r && rest < argc)
                r = problem_set(&problem, CLI_FAILED, "%.64s: doctor takes no arguments", argv[rest]);
        if (r || paths_find(&paths, &problem))
                return cli_complain(command, &problem);
        host.data = existing(paths.data);
        host.runtime = stat(existing(paths.run), &st) || !S_ISDIR(st.st_mode) || access(paths.run, W_OK)
                               ? NULL
                               : paths.run;
        if (o.json)
                out_json_open(&report.json, NULL, '[');
        look_at_kvm(images_program_file("vmm", vmm) ? "vmm" : vmm, &finding);
        tell(&report, "kvm", &finding);
        finding = (struct doctor_finding){ 0 };
        look_at_guest(&paths, &finding);
        tell(&report, "guest", &finding);
        for (const struct doctor_check *c = doctor_checks; c->name; c++) {
                finding = (struct doctor_finding){ 0 };
                c->look(&host, &finding);
                tell(&report, c->name, &finding);
        }
        if (o.json) {
                out_json_close(&report.json, ']');
                putchar('\n');
        } else if (!o.quiet) {
                printf("\nvmlet " VMLET_VERSION ": %u well, %u to know, %u to mend, %u in the way\n",
                       report.counts[DOCTOR_OK], report.counts[DOCTOR_NOTE], report.counts[DOCTOR_WARN],
                       report.counts[DOCTOR_BAD]);
        }
        return report.counts[DOCTOR_BAD] ? 1 : 0;
}

const struct cli_command cli_doctor = {
        .name = "doctor",
        .usage = "[OPTION]...",
        .summary = "Look at this host: does KVM work, what slows sandboxes down, what limits cannot be held.",
        .details = "\nThe exit status is 1 if something keeps sandboxes from running (bad), else 0.\n",
        .options = options,
        .run = run,
};
