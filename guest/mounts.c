/*
 * File systems: mounts the root image and what a userland expects, in the order that is ready soonest.
 * Input:  settings; the first bytes of the root image (hostile, compared with constants only).
 * Runs:   the agent's only thread, before it serves; mounts_finish() at the very end.
 * Limits: 128 mount points are unmounted at the end, the rest is only written back.
 *
 * Nothing names the overlay's own disk once the root has changed: a descriptor of it stays, so that it can be
 * left clean at the end.
 */
#include "guest/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef BLKROGET
#define BLKROGET 0x125e /* <linux/fs.h> */
#endif
#define DEFAULT_ROOT "/dev/vda"
#define SAFE         (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define MOUNTS_MAX   128

static int upper_fd = -1; /* the root of the overlay's disk */

static ssize_t read_file(const char *path, char *bytes, size_t size, int *ret_fd)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        *ret_fd = fd;
        if (fd < 0)
                return -1;

        size_t len = 0;
        ssize_t n;

        while (len < size && (n = read(fd, bytes + len, size - len)) > 0)
                len += (size_t)n;
        close(fd);
        return (ssize_t)len;
}

void mounts_first(struct settings *ret)
{
        char cmdline[4096];
        int fd;

        mkdir("/proc", 0755);
        mount("proc", "/proc", "proc", SAFE, NULL);
        mount("dev", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, "mode=755");

        ssize_t len = read_file("/proc/cmdline", cmdline, sizeof(cmdline), &fd);

        settings_parse(cmdline, len > 0 ? (size_t)len : 0, ret);

        /*
         * A kernel without a console starts init without descriptors: 0 to 2 must not become something
         * else.
         */
        while (fd >= 0 && fd <= 2)
                fd = open("/dev/null", O_RDWR);
        if (fd == 3)
                close(fd);
}

/* Magic numbers of what a root image may hold, for one that is not ext4. */
static const char *detect(const char *device)
{
        static const struct {
                uint16_t at;
                uint8_t len;
                const char *magic, *fstype;
        } known[] = {
                { 1024 + 56, 2, "\x53\xef", "ext4" },
                { 1024, 4, "\xe2\xe1\xf5\xe0", "erofs" },
                { 0, 4, "hsqs", "squashfs" },
                { 0, 4, "XFSB", "xfs" },
        };
        char head[2048] = { 0 };
        int fd;

        if (read_file(device, head, sizeof(head), &fd) < 0)
                return NULL;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
                if (!memcmp(head + known[i].at, known[i].magic, known[i].len))
                        return known[i].fstype;
        }
        return NULL;
}

/*
 * What the first look at a root needs and no more: without readahead of inode tables (settle_root() gives
 * it back), and without a look at the journal where nothing could be replayed from it, because the disk
 * must not be written.
 */
static const char *ext4_options(const char *device)
{
        int fd = open(device, O_RDONLY | O_CLOEXEC), read_only = 0;

        if (fd >= 0) {
                ioctl(fd, BLKROGET, &read_only);
                close(fd);
        }
        return read_only ? "noload,inode_readahead_blks=1" : "inode_readahead_blks=1";
}

static void settle_root(const char *device)
{
        const char *slash = strrchr(device, '/');
        struct text path;

        text_set(&path, "/sys/fs/ext4/", slash ? slash + 1 : device, "/inode_readahead_blks");

        int fd = open(path.s, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return;            /* not ext4 */
        (void)!write(fd, "32", 2); /* as it is by default */
        close(fd);
}

/*
 * Unless it is told, the file system is ext4, and what ext4 refuses is looked at: looking first would read
 * the first 128 KiB of the disk at every boot, and ext4 would then throw them away to set its block size.
 */
static int mount_image(const char *device, const char *at, bool read_only, const char **fstype)
{
        unsigned long flags = MS_SILENT | (read_only ? MS_RDONLY : 0);
        const char *type = *fstype ? *fstype : "ext4";
        const char *options = strcmp(type, "ext4") ? NULL : ext4_options(device);

        if (!mount(device, at, type, flags, options))
                return 0;
        if (errno != EINVAL || *fstype)
                return -errno;
        *fstype = detect(device);
        if (!*fstype)
                return -EINVAL;
        return mount(device, at, *fstype, flags, NULL) ? -errno : 0;
}

/* Inode tables are not zeroed in the background: that would fill a sparse disk. Return: false and why. */
static bool mount_upper(const char *device, struct text *why)
{
        if (!mount(device, "/rw", "ext4", MS_SILENT, "noinit_itable")) {
                upper_fd = open("/rw", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                return true;
        }

        int error = errno;
        const char *what = strerror(error);

        if (access(device, F_OK))
                what = "the guest has no such device";
        else if (error == EINVAL)
                what = "it holds no ext4 file system";
        else if (error == EUCLEAN || error == EBADMSG || error == EIO)
                what = "its file system is damaged: check it with e2fsck -f";
        else if (error == EROFS || error == EACCES)
                what = "it cannot be written to";
        text_set(why, "the writable disk ", device, ": ", what);
        return false;
}

/* The overlay's parts stay mounted beneath the new root, where nobody can see them. */
static int mount_overlay(const struct settings *s, const char **ret_what)
{
        *ret_what = "tmpfs";
        if (!*s->upper && mount("rw", "/rw", "tmpfs", 0, "mode=755"))
                return -errno;
        mkdir("/rw/upper", 0755);
        mkdir("/rw/work", 0755);
        mkdir("/new", 0755);
        *ret_what = "overlay";
        if (mount("root", "/new", "overlay", 0, "lowerdir=/image,upperdir=/rw/upper,workdir=/rw/work"))
                return -errno;
        return 0;
}

/* The initramfs holds nothing but the program that runs, so there is nothing to delete from it. */
static int switch_root(const char *root, const char **ret_what)
{
        *ret_what = "entering it";
        if (chdir(root))
                return -errno;
        mkdir("proc", 0755);
        mkdir("dev", 0755);
        *ret_what = "moving /proc and /dev into it";
        if (mount("/dev", "dev", NULL, MS_MOVE, NULL) || mount("/proc", "proc", NULL, MS_MOVE, NULL))
                return -errno;
        *ret_what = "making it the root";
        if (mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
                return -errno;
        return 0;
}

static const char *root_device(const struct settings *s)
{
        return *s->root ? s->root : DEFAULT_ROOT;
}

int mounts_root(const struct settings *s, struct text *ret_why)
{
        const char *device = root_device(s), *what = "mounting it";

        if (access(device, F_OK)) {
                if (!*s->root)
                        return MOUNTS_OK;
                text_set(ret_why, "the root device ", device, " does not exist in the guest");
                return MOUNTS_NO_ROOT;
        }

        const char *fstype = *s->fstype ? s->fstype : NULL;
        const char *at = s->overlay ? "/image" : "/new";

        mkdir(at, 0755);

        int r = mount_image(device, at, s->overlay, &fstype);

        if (r == -EINVAL && !fstype) {
                text_set(ret_why, device, " holds no file system that the guest knows (ext4, erofs)");
                return MOUNTS_NO_ROOT;
        }
        if (!r && s->overlay) {
                mkdir("/rw", 0700);
                if (*s->upper && !mount_upper(s->upper, ret_why))
                        return MOUNTS_NO_ROOT;
                r = mount_overlay(s, &what);
        }
        if (!r)
                r = switch_root("/new", &what);
        if (!r)
                return MOUNTS_OK;
        text_set(ret_why, "root image ", device, " (", fstype ? fstype : "ext4", "): ", what, ": ",
                 strerror(-r));
        return MOUNTS_NO_ROOT;
}

void mounts_rest(const struct settings *settings)
{
        static const struct {
                const char *what, *at, *fstype;
                unsigned long flags;
                const char *data;
        } table[] = {
                { "sys", "/sys", "sysfs", SAFE, NULL },
                { "cgroup2", "/sys/fs/cgroup", "cgroup2", SAFE, NULL },
                { "devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666" },
                { "shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" },
                { "mqueue", "/dev/mqueue", "mqueue", SAFE, NULL },
                { "run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755" },
        };
        static const char *const links[][2] = {
                { "/proc/self/fd", "/dev/fd" },
                { "/proc/self/fd/0", "/dev/stdin" },
                { "/proc/self/fd/1", "/dev/stdout" },
                { "/proc/self/fd/2", "/dev/stderr" },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                if (mount(table[i].what, table[i].at, table[i].fstype, table[i].flags, table[i].data) &&
                    errno == ENOENT && !mkdir(table[i].at, 0755))
                        mount(table[i].what, table[i].at, table[i].fstype, table[i].flags, table[i].data);
        }
        settle_root(root_device(settings));
        for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
                (void)!symlink(links[i][0], links[i][1]); /* an image may bring its own */

        if (!mkdir("/tmp", 0755))
                chmod("/tmp", 01777);
        if (access("/tmp", W_OK))
                mount("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
}

/* Decodes \040 and its like in place: /proc/mounts writes strange characters so. */
static void unescape(char *s)
{
        char *to = s;

        for (; *s; to++) {
                if (s[0] == '\\' && s[1] && s[2] && s[3]) {
                        *to = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
                        s += 4;
                } else {
                        *to = *s++;
                }
        }
        *to = 0;
}

void mounts_finish(void)
{
        static char table[64 << 10];
        char *points[MOUNTS_MAX];
        size_t n = 0;
        int fd;

        sync();

        ssize_t len = read_file("/proc/self/mounts", table, sizeof(table) - 1, &fd);

        table[len > 0 ? len : 0] = 0;
        for (char *line = table; line && n < MOUNTS_MAX;) {
                char *end = strchr(line, '\n'), *at = strchr(line, ' ');

                if (!end || !at || at > end)
                        break;
                *end = 0;
                points[n] = at + 1;

                char *space = strchr(points[n], ' ');

                if (space) {
                        *space = 0;
                        unescape(points[n]);
                        n++;
                }
                line = end + 1;
        }
        while (n--) { /* newest first: a mount on a mount goes before what it stands on */
                if (umount2(points[n], UMOUNT_NOFOLLOW))
                        mount(NULL, points[n], NULL, MS_REMOUNT | MS_RDONLY, NULL);
        }
        if (upper_fd >= 0 && !fchdir(upper_fd))
                mount(NULL, ".", NULL, MS_REMOUNT | MS_RDONLY, NULL);
        sync();
}
