/* A program with an SQLite library of its own, which uses a live database as somebody else's program would: with one
 * connection and one set of prepared statements from its start to its end, whatever becomes of the content meanwhile.
 *
 *     client LIVE NAME RECORD
 *
 * In turn it reads twice in one transaction, where both must see the same whole content, and commits a transaction of
 * its own. RECORD is the file of a writer as tests/backups/writers.py describes it. After SIGTERM, or its first error,
 * it ends and tells on standard output, as one JSON object, what it has done and seen.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TAGS 64
#define BUSY_MILLISECONDS 60000

enum statement { BEGIN, BEGIN_IMMEDIATE, READ, INSERT, UPDATE, COMMIT, STATEMENTS };
static const char *const SQL[STATEMENTS] = {
    "BEGIN",
    "BEGIN IMMEDIATE",
    "SELECT (SELECT sum(amount) FROM accounts),"
    " (SELECT amount FROM accounts WHERE name = 'there') - (SELECT count(*) FROM written),"
    " count(DISTINCT tag), count(*), (SELECT count(*) FROM written), min(tag) FROM tags",
    "INSERT INTO written (writer, number) VALUES (?1, ?2)",
    "UPDATE accounts SET amount = amount + ?2 WHERE name = ?1",
    "COMMIT",
};

struct content {
    sqlite3_int64 written;
    char tag[32];
};

static sqlite3 *database;
static sqlite3_stmt *statements[STATEMENTS];
static long opened, prepared, reads, torn, contents, errors;
static sqlite3_int64 record[4]; /* begun, acknowledged, longest in nanoseconds, and one that is not used */
static int record_file;
static volatile sig_atomic_t ending;

static void end(int number) {
    (void)number;
    ending = 1;
}

static int went(int code, int wanted, const char *what) {
    if (code == wanted) return 1;
    errors++;
    fprintf(stderr, "%s: %d, %s\n", what, database ? sqlite3_extended_errcode(database) : code, sqlite3_errmsg(database));
    return 0;
}

static int run(enum statement which) {
    int code = sqlite3_step(statements[which]);
    int done = went(code, SQLITE_DONE, SQL[which]);
    sqlite3_reset(statements[which]);
    return done;
}

static int open_once(const char *live) {
    opened++;
    if (!went(sqlite3_open_v2(live, &database, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK, "open")) return 0;
    sqlite3_busy_timeout(database, BUSY_MILLISECONDS);
    for (int i = 0; i < STATEMENTS; i++) {
        prepared++;
        if (!went(sqlite3_prepare_v2(database, SQL[i], -1, &statements[i], NULL), SQLITE_OK, SQL[i])) return 0;
    }
    return 1;
}

/* --- reading --------------------------------------------------------------------------------------------------- */

static int read_content(struct content *seen) {
    sqlite3_stmt *read = statements[READ];
    int found = went(sqlite3_step(read), SQLITE_ROW, SQL[READ]);
    if (found) {
        reads++;
        if (sqlite3_column_int64(read, 0) != 0 || sqlite3_column_int64(read, 1) != 0 ||
            sqlite3_column_int64(read, 2) != 1 || sqlite3_column_int64(read, 3) != TAGS)
            torn++;
        seen->written = sqlite3_column_int64(read, 4);
        const unsigned char *tag = sqlite3_column_text(read, 5);
        snprintf(seen->tag, sizeof seen->tag, "%s", tag ? (const char *)tag : "");
    }
    sqlite3_reset(read);
    return found;
}

static int read_twice(void) {
    static struct content first, second;
    if (!run(BEGIN) || !read_content(&first)) return 0;
    if (strcmp(first.tag, second.tag) != 0) contents++;
    usleep(1000);
    if (!read_content(&second)) return 0;
    if (first.written != second.written || strcmp(first.tag, second.tag) != 0) torn++;
    return run(COMMIT);
}

/* --- writing --------------------------------------------------------------------------------------------------- */

static sqlite3_int64 now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int remember(void) { return pwrite(record_file, record, sizeof record, 0) == (ssize_t)sizeof record; }

static int move(const char *account, int amount) {
    sqlite3_bind_text(statements[UPDATE], 1, account, -1, SQLITE_STATIC);
    sqlite3_bind_int(statements[UPDATE], 2, amount);
    return run(UPDATE);
}

static int write_one(const char *name) {
    record[0]++;
    if (!remember()) abort();
    sqlite3_int64 started = now();
    if (!run(BEGIN_IMMEDIATE)) return 0;
    sqlite3_bind_text(statements[INSERT], 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statements[INSERT], 2, record[0]);
    if (!run(INSERT) || !move("here", -1) || !move("there", 1) || !run(COMMIT)) return 0;
    record[1] = record[0];
    sqlite3_int64 taken = now() - started;
    if (taken > record[2]) record[2] = taken;
    if (!remember()) abort();
    return 1;
}

/* --------------------------------------------------------------------------------------------------------------- */

static void tell(void) {
    long again = 0;
    for (int i = 0; i < STATEMENTS; i++) again += sqlite3_stmt_status(statements[i], SQLITE_STMTSTATUS_REPREPARE, 0);
    printf("{\"version\": \"%s\", \"opened\": %ld, \"prepared\": %ld, \"prepared_again_by_sqlite\": %ld, \"reads\": %ld, "
           "\"torn\": %ld, \"contents\": %ld, \"commits\": %lld, \"errors\": %ld}\n",
           sqlite3_libversion(), opened, prepared, again, reads, torn, contents, (long long)record[1], errors);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    signal(SIGTERM, end);
    record_file = open(argv[3], O_WRONLY);
    if (record_file < 0) return 2;
    if (open_once(argv[1]))
        while (!ending && read_twice() && write_one(argv[2])) usleep((useconds_t)(random() % 3000));
    if (!errors) tell();
    for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(statements[i]);
    return sqlite3_close(database) == SQLITE_OK && !errors ? 0 : 1;
}
