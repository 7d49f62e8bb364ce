/*
 * Everything of the host that a VM needs, opened and checked.
 * Input:  paths of a person; whatever lies behind them.
 * Runs:   main thread, before anything else of the VM exists.
 * Limits: those of config.h.
 *
 * Locks are flock(2): they end with the process, however it ends.
 */
#include "vmm/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/status.h"

#define SECTOR_BYTES 512u
#define DIRECT_ALIGN 4096u

static int open_kvm(struct problem *p)
{
        int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

        if (fd >= 0)
                return fd;
        if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
                return problem_set(
                        p, VMM_E_KVM,
                        "no /dev/kvm: load the module kvm_intel or kvm_amd, switch virtualization on "
                        "in the firmware, or use lab/run");
        if (errno == EACCES || errno == EPERM)
                return problem_set(
                        p, VMM_E_KVM,
                        "no permission for /dev/kvm: join its group (usermod -aG kvm NAME, then log in "
                        "again) or use lab/run");
        return problem_set(p, VMM_E_KVM, "cannot open /dev/kvm: %s", strerror(errno));
}

static int open_input(const char *what, const char *path, int flags, struct stat *ret_st, struct problem *p)
{
        /* Without O_NONBLOCK a named pipe would wait for a writer. */
        cleanup(fd_closep) int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

        if (fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS))
                return problem_set(p, VMM_E_INPUT, "%s '%s': no permission to %s it", what, path,
                                   (flags & O_ACCMODE) == O_RDWR ? "write (add ,ro to only read)" : "read");
        if (fd < 0 && errno == EBUSY)
                return problem_set(p, VMM_E_INPUT,
                                   "%s '%s' is in use by this host: unmount it, or share it with ,ro", what,
                                   path);
        if (fd < 0)
                return problem_set(p, VMM_E_INPUT, "%s '%s': %s", what, path,
                                   errno == ENOENT ? "no such file" : strerror(errno));
        if (fstat(fd, ret_st) < 0)
                return problem_set(p, VMM_E_INPUT, "%s '%s': %s", what, path, strerror(errno));
        if (S_ISDIR(ret_st->st_mode))
                return problem_set(p, VMM_E_INPUT, "%s '%s' is a directory; a file is needed", what, path);
        if (!S_ISREG(ret_st->st_mode) && !S_ISBLK(ret_st->st_mode))
                return problem_set(p, VMM_E_INPUT, "%s '%s' is neither a file nor a block device", what,
                                   path);
        return steal_fd(&fd);
}

static int lock_disk(int fd, const struct config_disk *d, struct problem *p)
{
        if (!flock(fd, (d->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB))
                return 0;
        if (errno == EWOULDBLOCK)
                return problem_set(p, VMM_E_INPUT, "image '%s' is in use by another VM%s", d->path,
                                   d->read_only ? " that writes to it" : "; stop that, or share it with ,ro");
        return problem_set(p, VMM_E_INPUT, "image '%s' cannot be locked: %s", d->path, strerror(errno));
}

/* How fine direct I/O may be is a matter of the disk below: a read tells. */
static uint32_t block_bytes_of(int fd, const struct config_disk *d)
{
        static uint8_t sector[SECTOR_BYTES] __attribute__((aligned(DIRECT_ALIGN)));

        return d->direct && pread(fd, sector, sizeof(sector), 0) < 0 && errno == EINVAL ? DIRECT_ALIGN
                                                                                        : SECTOR_BYTES;
}

static int open_locked(struct files_disk *ret, const struct config_disk *d, struct problem *p)
{
        /* O_EXCL: a block device that is mounted is refused. It means nothing for files. */
        int mode = d->read_only ? O_RDONLY : O_RDWR | O_EXCL;
        struct stat st;

        ret->fd = open_input("image", d->path, mode, &st, p);
        if (ret->fd < 0)
                return -1;
        if (d->direct && fcntl(ret->fd, F_SETFL, O_DIRECT) < 0)
                return problem_set(p, VMM_E_INPUT,
                                   "image '%s': its file system has no direct I/O; leave out ,direct",
                                   d->path);
        return lock_disk(ret->fd, d, p);
}

/* The same file again would find itself locked, by us. Return: a descriptor of it, or -1: it is another. */
static int again(int held, const char *path)
{
        struct stat ours, theirs;

        if (held < 0 || fstat(held, &ours) < 0 || stat(path, &theirs) < 0)
                return -1;
        if (ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)
                return -1;
        return fcntl(held, F_DUPFD_CLOEXEC, 3);
}

int files_open_disk(struct files_disk *ret, const struct config_disk *d, int held, struct problem *p)
{
        off_t size;

        ret->fd = again(held, d->path);
        if (ret->fd < 0 && open_locked(ret, d, p))
                return -1;
        size = lseek(ret->fd, 0, SEEK_END);
        if (size < 0)
                return problem_set(p, VMM_E_INPUT, "image '%s': its size is unknown: %s", d->path,
                                   strerror(errno));
        if (!size)
                return problem_set(p, VMM_E_INPUT, "image '%s' is empty", d->path);
        if ((uint64_t)size % SECTOR_BYTES)
                return problem_set(
                        p, VMM_E_INPUT,
                        "image '%s' has %lld bytes, which is not a multiple of %u: is it a raw disk image?",
                        d->path, (long long)size, SECTOR_BYTES);
        if (d->direct && (uint64_t)size % DIRECT_ALIGN)
                return problem_set(p, VMM_E_INPUT,
                                   "image '%s' has %lld bytes, not a multiple of %u: leave out ,direct",
                                   d->path, (long long)size, DIRECT_ALIGN);
        ret->size_bytes = (uint64_t)size;
        ret->block_bytes = block_bytes_of(ret->fd, d);
        return 0;
}

static int open_own_initrd(struct problem *p)
{
        /* From bin/ of a build, from bin/ and from libexec/vmlet/ once installed. */
        static const char *const places[] = { "../initramfs/initramfs.cpio",
                                              "../libexec/vmlet/initramfs.cpio", "initramfs.cpio" };
        char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
        char *slash;

        path[n > 0 ? n : 0] = 0;
        slash = strrchr(path, '/');
        for (unsigned i = 0; slash && i < array_size(places); i++) {
                int fd;

                (void)snprintf(slash + 1, sizeof(path) - (size_t)(slash + 1 - path), "%s", places[i]);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd >= 0)
                        return fd;
        }
        return problem_set(p, VMM_E_INPUT, "our initramfs is missing (%s): install it, or use --initrd FILE",
                           path);
}

static int open_initrd(struct files *f, const struct vm_config *c, struct problem *p)
{
        struct stat st;

        f->has_agent = !c->initrd;
        if (!c->initrd)
                f->initrd = open_own_initrd(p);
        else if (strcmp(c->initrd, "none"))
                f->initrd = open_input("initrd", c->initrd, O_RDONLY, &st, p);
        return p->status ? -1 : 0;
}

static int open_report(int *ret, const char *what, const char *path, struct problem *p)
{
        *ret = -1;
        if (!path)
                return 0;
        *ret = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
        if (*ret < 0)
                return problem_set(p, VMM_E_INPUT, "cannot write %s '%s': %s", what, path, strerror(errno));
        return 0;
}

static int open_serial(struct files *f, const struct vm_config *c, struct problem *p)
{
        f->serial = -1;
        if (!strcmp(c->serial, "off"))
                return 0;
        if (strcmp(c->serial, "stdio") && capfile_is_for(c->serial))
                return capfile_open(&f->console, "the console", c->serial, c->log_limit_bytes, false, p);
        if (strcmp(c->serial, "stdio"))
                return open_report(&f->serial, "the console to", c->serial, p);
        f->serial = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        if (f->serial < 0)
                return problem_set(p, VMM_E_INPUT,
                                   "no standard output for the console: use --serial off or FILE");
        return 0;
}

static int open_all(struct files *f, const struct vm_config *c, struct problem *p)
{
        struct stat st;

        if (files_claim_fds(c, p))
                return -1;
        f->kernel = open_input("kernel", c->kernel, O_RDONLY, &st, p);
        if (f->kernel < 0 || open_initrd(f, c, p))
                return -1;
        for (unsigned i = 0; i < c->nr_disks; i++)
                if (files_open_disk(&f->disks[i], &c->disks[i], -1, p))
                        return -1;
        for (unsigned i = 0; i < c->nr_nets; i++)
                if (files_open_net(&f->nets[i], &c->nets[i], p))
                        return -1;
        f->kvm = open_kvm(p);
        if (f->kvm < 0)
                return -1;
        if (c->vsock_path && uds_listen("vsock", c->vsock_path, VMM_E_INPUT, p, &f->vsock_uds, &f->vsock))
                return -1;
        if (c->control_path &&
            uds_listen("control", c->control_path, VMM_E_INPUT, p, &f->control_uds, &f->control))
                return -1;
        if (c->output_path &&
            capfile_open(&f->output, "the output", c->output_path, c->log_limit_bytes, true, p))
                return -1;
        if (open_serial(f, c, p) || open_report(&f->timeline, "the timeline to", c->timeline, p) ||
            open_report(&f->stats, "the counters to", c->stats, p))
                return -1;
        return 0;
}

static void forget(struct files *f)
{
        *f = (struct files){
                .kvm = -1,
                .kernel = -1,
                .initrd = -1,
                .vsock = -1,
                .control = -1,
                .serial = -1,
                .console = CAPFILE_NONE,
                .output = CAPFILE_NONE,
                .timeline = -1,
                .stats = -1,
        };
        for (unsigned i = 0; i < CONFIG_DISKS_MAX; i++)
                f->disks[i].fd = -1;
        for (unsigned i = 0; i < CONFIG_NETS_MAX; i++)
                for (unsigned q = 0; q < CONFIG_QUEUES_MAX; q++)
                        f->nets[i].fds[q] = -1;
}

int files_open(struct files *f, const struct vm_config *c, struct problem *p)
{
        forget(f);
        if (open_all(f, c, p)) {
                files_close(f);
                return -1;
        }
        return 0;
}

void files_close(struct files *f)
{
        uds_unlink(&f->vsock_uds);
        uds_unlink(&f->control_uds);
        fd_closep(&f->kvm);
        fd_closep(&f->kernel);
        fd_closep(&f->initrd);
        fd_closep(&f->vsock);
        fd_closep(&f->control);
        fd_closep(&f->serial);
        capfile_close(&f->console);
        capfile_close(&f->output);
        fd_closep(&f->timeline);
        fd_closep(&f->stats);
        for (unsigned i = 0; i < CONFIG_DISKS_MAX; i++)
                fd_closep(&f->disks[i].fd);
        for (unsigned i = 0; i < CONFIG_NETS_MAX; i++)
                for (unsigned q = 0; q < CONFIG_QUEUES_MAX; q++)
                        fd_closep(&f->nets[i].fds[q]);
}
