/* The initial RAM disk's only program: loads the root disk's driver and hands over to systemd. Debian's own does so
 * much in addition, with drivers for every computer, that an emulated processor needs a quarter of a minute for it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DRIVER "/virtio_blk.ko"
#define DISK "/dev/vda"
#define ROOT "/root"

static void must(int result, const char *what)
{
    if (result >= 0)
        return;
    perror(what);
    exit(1); /* and the kernel panics */
}

int main(void)
{
    int driver = open(DRIVER, O_RDONLY);
    must(driver, DRIVER);
    must(mount("devtmpfs", "/dev", "devtmpfs", 0, NULL), "mount /dev");
    must(syscall(SYS_finit_module, driver, "", 0), "load " DRIVER);
    for (int tries = 0; access(DISK, F_OK) && tries < 6000; tries++)
        usleep(10000);
    must(mount(DISK, ROOT, "ext4", MS_RDONLY, NULL), "mount " DISK);
    must(mount("/dev", ROOT "/dev", NULL, MS_MOVE, NULL), "move /dev");
    must(chdir(ROOT), "enter " ROOT);
    must(mount(".", "/", NULL, MS_MOVE, NULL), "move " ROOT);
    must(chroot("."), "change the root");
    must(execl("/sbin/init", "init", NULL), "start /sbin/init");
}
