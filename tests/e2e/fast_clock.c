/* A wall clock that runs FAST_CLOCK_SPEED times as fast since FAST_CLOCK_SINCE (seconds since 1970), for programs started
 * with this library as LD_PRELOAD. The monotonic clock and all timers stay as they are. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void) {
    static long long since, speed;
    struct timespec now;
    if (!speed) {
        since = atoll(getenv("FAST_CLOCK_SINCE")) * 1000000000LL;
        speed = atoll(getenv("FAST_CLOCK_SPEED"));
    }
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return since + (now.tv_sec * 1000000000LL + now.tv_nsec - since) * speed;
}

int clock_gettime(clockid_t clock, struct timespec *result) {
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
        return syscall(SYS_clock_gettime, clock, result);
    long long now = now_ns();
    result->tv_sec = now / 1000000000LL;
    result->tv_nsec = now % 1000000000LL;
    return 0;
}

int gettimeofday(struct timeval *result, void *zone) {
    (void)zone;
    long long now = now_ns();
    result->tv_sec = now / 1000000000LL;
    result->tv_usec = now % 1000000000LL / 1000;
    return 0;
}

time_t time(time_t *result) {
    time_t now = now_ns() / 1000000000LL;
    if (result)
        *result = now;
    return now;
}
