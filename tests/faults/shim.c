/* Stands between a program and libc's file calls, by LD_PRELOAD: lets the Nth call of a kind fail or end the process,
 * and writes down what changes in a folder. Python's os module and SQLite both go through these functions.
 *
 * Only calls on paths below the watched folder count. A descriptor's path is asked of /proc at each call, so nothing
 * has to be remembered. fsync and fdatasync of watched files do not reach the disk: what they promise is the subject
 * of the power-loss model, and a killed process loses nothing that the kernel has.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum call { OPEN, OPENDIR, READ, PREAD, WRITE, PWRITE, FSYNC, FDATASYNC, FTRUNCATE, LINK, UNLINK, RENAME, MKDIR, RMDIR, CALLS };
static const char *const NAMES[CALLS] = {"open",  "opendir",   "read",      "pread", "write",  "pwrite", "fsync",
                                         "fdatasync", "ftruncate", "link",  "unlink", "rename", "mkdir", "rmdir"};

/* What befalls the chosen call. TORN: half of a write is done, or all of another call, and then the process is killed.
 * FULL and DEAD last: from the chosen call on, the disk takes nothing new, or answers nothing at all. */
enum fault { NOTHING, KILL, TORN, FAIL_ENOSPC, FAIL_EIO, FULL, DEAD };
static const char *const FAULTS[] = {"", "kill", "torn", "ENOSPC", "EIO", "full", "dead"};

static char watched[PATH_MAX];
static size_t watched_length;
static long counts[CALLS];
static int chosen_call = -1; /* CALLS: every call that may change something */
static long chosen_number, changing;
static enum fault chosen_fault;
static int fired;
static int journal = -1;
static int without_links; /* as exFAT: every link is refused */
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

/* --- what the driver calls ------------------------------------------------------------------------------------- */

void fault_watch(const char *folder) {
    watched_length = strlen(folder);
    memcpy(watched, folder, watched_length + 1);
    memset(counts, 0, sizeof counts);
    changing = 0;
    fired = 0;
}

int fault_arm(const char *call, long number, const char *fault) {
    chosen_call = -1;
    chosen_fault = NOTHING;
    for (int i = 0; i < CALLS; i++)
        if (strcmp(call, NAMES[i]) == 0) chosen_call = i;
    if (strcmp(call, "any") == 0) chosen_call = CALLS;
    for (int i = 1; i <= DEAD; i++)
        if (strcmp(fault, FAULTS[i]) == 0) chosen_fault = (enum fault)i;
    chosen_number = number;
    return chosen_call >= 0 && chosen_fault != NOTHING;
}

void fault_record(int descriptor) { journal = descriptor; }

void fault_refuse_links(void) { without_links = 1; }

int fault_fired(void) { return fired; }

long fault_count(const char *call) {
    for (int i = 0; i < CALLS; i++)
        if (strcmp(call, NAMES[i]) == 0) return counts[i];
    return strcmp(call, "any") == 0 ? changing : -1;
}

/* --- paths ----------------------------------------------------------------------------------------------------- */

static int is_watched(const char *path) {
    return watched_length && strncmp(path, watched, watched_length) == 0 &&
           (path[watched_length] == '/' || path[watched_length] == '\0');
}

static const char *inside(const char *path) { return path + watched_length + (path[watched_length] == '/'); }

static int descriptor_path(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) length = 0;
    path[length] = '\0';
    return is_watched(path);
}

static int named_path(int folder, const char *name, char *path) {
    char base[PATH_MAX];
    if (!watched_length) return 0;
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return is_watched(path);
    }
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return 0;
    } else {
        descriptor_path(folder, base);
    }
    if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) return 0;
    return is_watched(path);
}

static int exists(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0;
}

/* --- faults ---------------------------------------------------------------------------------------------------- */

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int changes(int call) { return call != READ && call != PREAD && call != OPENDIR; }

static int needs_room(int call) { return call == WRITE || call == PWRITE || call == LINK || call == RENAME || call == MKDIR; }

/* Counts a call on a watched path. Gives 0 where it may go on, an errno with which it has to fail, or -1 where it is
 * to be torn. `makes` says whether an open would make a file. */
static int befalls(int call, int makes) {
    int answer = 0;
    pthread_mutex_lock(&guard);
    counts[call]++;
    if (changes(call)) changing++;
    if (fired && chosen_fault == FULL && (needs_room(call) || makes)) answer = ENOSPC;
    if (fired && chosen_fault == DEAD) answer = EIO;
    long number = chosen_call == CALLS ? (changes(call) ? changing : -1) : call == chosen_call ? counts[call] : -1;
    if (!fired && number == chosen_number && chosen_fault != NOTHING) {
        fired = 1;
        switch (chosen_fault) {
            case KILL: die(); break;
            case TORN: answer = -1; break;
            case FAIL_ENOSPC: case FULL: answer = ENOSPC; break;
            default: answer = EIO;
        }
    }
    pthread_mutex_unlock(&guard);
    return answer;
}

/* --- the journal ----------------------------------------------------------------------------------------------- */

static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER; /* a call and its record are one step */

static void put(const void *data, size_t length) {
    const char *rest = data;
    while (length) {
        ssize_t done = syscall(SYS_write, journal, rest, length); /* not through our own write */
        if (done <= 0) abort();
        rest += done;
        length -= (size_t)done;
    }
}

static void record(const char *format, ...) {
    char line[3 * PATH_MAX];
    va_list arguments;
    if (journal < 0) return;
    int before = errno;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    put(line, (size_t)length);
    errno = before;
}

static unsigned long inode_of(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) == 0 ? (unsigned long)status.st_ino : 0;
}

static unsigned long inode_at(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 ? (unsigned long)status.st_ino : 0;
}

#define REAL(type, name, ...)                                                             \
    static type (*real)(__VA_ARGS__);                                                     \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* Begins a function that stands for one of libc's: leaves where the call is to fail. Then comes the call itself. */
#define MEET(call, makes, failed)                 \
    int meets = befalls(call, makes);             \
    if (meets > 0) { errno = meets; return failed; } \
    pthread_mutex_lock(&writing)

#define PART()                           \
    do {                                 \
        pthread_mutex_unlock(&writing);  \
        if (meets < 0) die();            \
    } while (0)

/* --- open ------------------------------------------------------------------------------------------------------ */

static int open_at(int folder, const char *name, int flags, mode_t mode) {
    REAL(int, "openat64", int, const char *, int, ...);
    char path[PATH_MAX];
    if (!named_path(folder, name, path)) return real(folder, name, flags, mode);
    int makes = (flags & O_CREAT) && !exists(path);
    MEET(OPEN, makes, -1);
    int descriptor = real(folder, name, flags, mode);
    if (descriptor >= 0 && makes) record("create\t%lu\t%s\n", inode_of(descriptor), inside(path));
    if (descriptor >= 0 && !makes && (flags & O_TRUNC)) record("truncate\t%lu\t0\n", inode_of(descriptor));
    PART();
    return descriptor;
}

#define MODE_OF(flags)                                    \
    mode_t mode = 0;                                      \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                \
        va_list rest;                                     \
        va_start(rest, flags);                            \
        mode = va_arg(rest, mode_t);                      \
        va_end(rest);                                     \
    }

int open(const char *name, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, name, flags, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE_OF(flags) return open_at(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { MODE_OF(flags) return open_at(folder, name, flags, mode); }
/* What a fortified program calls instead where the flags are no constant. */
int __open_2(const char *name, int flags) { return open_at(AT_FDCWD, name, flags, 0); }
int __open64_2(const char *name, int flags) { return open_at(AT_FDCWD, name, flags, 0); }

DIR *opendir(const char *name) {
    REAL(DIR *, "opendir", const char *);
    char path[PATH_MAX];
    if (!named_path(AT_FDCWD, name, path)) return real(name);
    MEET(OPENDIR, 0, NULL);
    DIR *folder = real(name);
    PART();
    return folder;
}

/* --- content --------------------------------------------------------------------------------------------------- */

ssize_t read(int descriptor, void *data, size_t length) {
    REAL(ssize_t, "read", int, void *, size_t);
    char path[PATH_MAX];
    int meets = descriptor_path(descriptor, path) ? befalls(READ, 0) : 0;
    if (meets > 0) { errno = meets; return -1; }
    return real(descriptor, data, length);
}

ssize_t pread64(int descriptor, void *data, size_t length, off64_t offset) {
    REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
    char path[PATH_MAX];
    int meets = descriptor_path(descriptor, path) ? befalls(PREAD, 0) : 0;
    if (meets > 0) { errno = meets; return -1; }
    return real(descriptor, data, length, offset);
}

ssize_t pread(int descriptor, void *data, size_t length, off_t offset) { return pread64(descriptor, data, length, offset); }

ssize_t write(int descriptor, const void *data, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    char path[PATH_MAX];
    if (!descriptor_path(descriptor, path)) return real(descriptor, data, length);
    MEET(WRITE, 0, -1);
    off_t offset = lseek(descriptor, 0, SEEK_CUR);
    ssize_t done = real(descriptor, data, meets < 0 ? length / 2 : length);
    if (done > 0 && journal >= 0) {
        record("write\t%lu\t%ld\t%ld\n", inode_of(descriptor), (long)offset, (long)done);
        put(data, (size_t)done);
    }
    PART();
    return done;
}

ssize_t pwrite64(int descriptor, const void *data, size_t length, off64_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    char path[PATH_MAX];
    if (!descriptor_path(descriptor, path)) return real(descriptor, data, length, offset);
    MEET(PWRITE, 0, -1);
    ssize_t done = real(descriptor, data, meets < 0 ? length / 2 : length, offset);
    if (done > 0 && journal >= 0) {
        record("write\t%lu\t%ld\t%ld\n", inode_of(descriptor), (long)offset, (long)done);
        put(data, (size_t)done);
    }
    PART();
    return done;
}

ssize_t pwrite(int descriptor, const void *data, size_t length, off_t offset) { return pwrite64(descriptor, data, length, offset); }

int ftruncate64(int descriptor, off64_t length) {
    REAL(int, "ftruncate64", int, off64_t);
    char path[PATH_MAX];
    if (!descriptor_path(descriptor, path)) return real(descriptor, length);
    MEET(FTRUNCATE, 0, -1);
    int result = real(descriptor, length);
    if (result == 0) record("truncate\t%lu\t%ld\n", inode_of(descriptor), (long)length);
    PART();
    return result;
}

int ftruncate(int descriptor, off_t length) { return ftruncate64(descriptor, length); }

static int synced(int call, int descriptor) {
    MEET(call, 0, -1);
    record("sync\t%lu\n", inode_of(descriptor));
    PART();
    return 0;
}

int fsync(int descriptor) {
    REAL(int, "fsync", int);
    char path[PATH_MAX];
    return descriptor_path(descriptor, path) ? synced(FSYNC, descriptor) : real(descriptor);
}

int fdatasync(int descriptor) {
    REAL(int, "fdatasync", int);
    char path[PATH_MAX];
    return descriptor_path(descriptor, path) ? synced(FDATASYNC, descriptor) : real(descriptor);
}

/* --- names ----------------------------------------------------------------------------------------------------- */

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    REAL(int, "linkat", int, const char *, int, const char *, int);
    char old[PATH_MAX], new[PATH_MAX];
    named_path(from_folder, from, old);
    if (!named_path(to_folder, to, new)) return real(from_folder, from, to_folder, to, flags);
    MEET(LINK, 1, -1);
    int result = -1;
    if (without_links) errno = EPERM;
    else result = real(from_folder, from, to_folder, to, flags);
    if (result == 0) record("link\t%s\t%s\n", inside(old), inside(new));
    PART();
    return result;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int folder, const char *name, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    char path[PATH_MAX];
    if (!named_path(folder, name, path)) return real(folder, name, flags);
    MEET(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, -1);
    int result = real(folder, name, flags);
    if (result == 0) record("unlink\t%s\n", inside(path));
    PART();
    return result;
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    REAL(int, "renameat", int, const char *, int, const char *);
    char old[PATH_MAX], new[PATH_MAX];
    named_path(from_folder, from, old);
    if (!named_path(to_folder, to, new)) return real(from_folder, from, to_folder, to);
    MEET(RENAME, 1, -1);
    int result = real(from_folder, from, to_folder, to);
    if (result == 0) record("rename\t%s\t%s\n", inside(old), inside(new));
    PART();
    return result;
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int mkdirat(int folder, const char *name, mode_t mode) {
    REAL(int, "mkdirat", int, const char *, mode_t);
    char path[PATH_MAX];
    if (!named_path(folder, name, path)) return real(folder, name, mode);
    MEET(MKDIR, 1, -1);
    int result = real(folder, name, mode);
    if (result == 0) record("folder\t%lu\t%s\n", inode_at(path), inside(path));
    PART();
    return result;
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
