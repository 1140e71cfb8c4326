// Preloaded into a function (LD_PRELOAD): sets its wall clock ahead by the number of seconds in the file that
// the environment variable CLOCK_AHEAD names.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = syscall(SYS_clock_gettime, clock, now);
    const char *path = getenv("CLOCK_AHEAD");
    if (status != 0 || clock != CLOCK_REALTIME || path == NULL)
        return status;
    FILE *file = fopen(path, "r");
    long seconds;
    if (file != NULL) {
        if (fscanf(file, "%ld", &seconds) == 1)
            now->tv_sec += seconds;
        fclose(file);
    }
    return status;
}
