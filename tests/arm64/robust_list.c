/* A plugin for QEMU's user mode that hands a guest thread's list of robust mutexes to the host's kernel.
 *
 * QEMU answers set_robust_list with ENOSYS, so a mutex whose owner is killed would stay locked. The list looks
 * the same to every 64-bit kernel of one byte order, and a 64-bit guest's addresses are the host's (QEMU's guest_base is
 * 0): handing over the address is all it takes. QEMU's own threads have robust mutexes of their own nowhere.
 *
 * Stands for qemu-plugin.h, which Debian does not package: the part of it that is used.
 */
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
typedef void (*qemu_plugin_vcpu_syscall_cb_t)(qemu_plugin_id_t, unsigned, int64_t number, uint64_t, uint64_t, uint64_t,
                                              uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, qemu_plugin_vcpu_syscall_cb_t);

int qemu_plugin_version = PLUGIN_VERSION; /* every QEMU takes a few: the script tries them */

enum { ARM64_SET_ROBUST_LIST = 99 };

static void before_call(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t head, uint64_t size, uint64_t a3,
                        uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)cpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number == ARM64_SET_ROBUST_LIST) syscall(SYS_set_robust_list, head, size);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
  (void)info, (void)argc, (void)argv;
  qemu_plugin_register_vcpu_syscall_cb(id, before_call);
  return 0;
}
