/* Counts fsync and fdatasync, so that a durability column can say what a peer did and not only what it says.
 *
 * Preloaded into each peer. The count is one 64-bit integer in the file named by PEERS_SYNC_COUNTER, mapped shared:
 * children add to it too, and anyone may read it at any time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t *counter;

__attribute__((constructor)) static void map_counter(void) {
    const char *path = getenv("PEERS_SYNC_COUNTER");
    int fd = path ? open(path, O_RDWR) : -1;
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) counter = mapped;
}

static int counted(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (counter) __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
    return real(fd);
}

int fsync(int fd) { return counted("fsync", fd); }
int fdatasync(int fd) { return counted("fdatasync", fd); }
