/* pidfile.h: the file that names the running master. */
#ifndef TINE_MASTER_PIDFILE_H
#define TINE_MASTER_PIDFILE_H

/* Writes our id. Refuses while the process named in the file lives; replaces a stale file. 0, or -1
 * logged. */
int pidfile_write(const char *path) __attribute__((warn_unused_result));
/* Removes the file if it still names us. NULL: nothing. */
void pidfile_remove(const char *path);

#endif
