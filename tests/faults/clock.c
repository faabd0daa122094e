/* A wall clock that can be put forward and back, for the processes that load this: the real one and an offset in
 * nanoseconds, which the test writes into the file CLOCK_OFFSET_FILE. Everybody sees a step at once. Clocks that only count
 * (CLOCK_MONOTONIC), sleeping, and the times of files are left alone. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NANO 1000000000LL

static volatile int64_t *offset;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_OFFSET_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        abort();
    void *page = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page == MAP_FAILED)
        abort();
    offset = page;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = (int)syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t moment = now->tv_sec * NANO + now->tv_nsec + *offset;
        now->tv_sec = moment / NANO;
        now->tv_nsec = moment % NANO;
    }
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec moment;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &moment) != 0)
        return -1;
    now->tv_sec = moment.tv_sec;
    now->tv_usec = moment.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec moment;
    if (clock_gettime(CLOCK_REALTIME, &moment) != 0)
        return (time_t)-1;
    if (now)
        *now = moment.tv_sec;
    return moment.tv_sec;
}
