// SPDX-License-Identifier: GPL-2.0
#include <linux/device.h>
#include <linux/kmod.h>
#include <linux/kobject.h>
#include <xen/events.h>
#include <xen/grant_table.h>
#include <xen/interface/grant_table.h>
#include <xen/page.h>
#include <xen/platform_pci.h>
#include <xen/xen.h>
#include <asm/barrier.h>
#include <asm/xen/hypercall.h>

#include "helpers.h"

bool nc2_xen_domain(void)
{
	return xen_domain();
}

bool nc2_xen_has_pv_nic_devices(void)
{
	return xen_has_pv_nic_devices();
}

unsigned long nc2_virt_to_gfn(const void *address)
{
	return virt_to_gfn((void *)address);
}

/* With the bits that say that the page is another domain's, or has no entry. */
unsigned long nc2_p2m_entry(const void *address)
{
	return __pfn_to_mfn(virt_to_pfn(address));
}

bool nc2_xen_pv_domain(void)
{
	return xen_pv_domain();
}

void nc2_virt_mb(void)
{
	virt_mb();
}

void nc2_virt_wmb(void)
{
	virt_wmb();
}

u32 nc2_load_acquire(const u32 *word)
{
	return virt_load_acquire(word);
}

void nc2_store_release(u32 *word, u32 value)
{
	virt_store_release(word, value);
}

int nc2_evtchn_alloc_unbound(domid_t remote, evtchn_port_t *port)
{
	struct evtchn_alloc_unbound op = { .dom = DOMID_SELF, .remote_dom = remote };
	int err = HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &op);

	*port = op.port;
	return err;
}

int nc2_evtchn_status(struct evtchn_status *status)
{
	return HYPERVISOR_event_channel_op(EVTCHNOP_status, status);
}

void nc2_evtchn_close(evtchn_port_t port)
{
	xen_evtchn_close(port);
}

int nc2_evtchn_bind_interdomain(domid_t remote, evtchn_port_t remote_port,
				evtchn_port_t *port)
{
	struct evtchn_bind_interdomain op = { .remote_dom = remote, .remote_port = remote_port };
	int err = HYPERVISOR_event_channel_op(EVTCHNOP_bind_interdomain, &op);

	*port = op.local_port;
	return err;
}

void nc2_evtchn_notify(evtchn_port_t port)
{
	notify_remote_via_evtchn(port);
}

int nc2_grant_copy(struct gnttab_copy *operations, unsigned int count)
{
	return HYPERVISOR_grant_table_op(GNTTABOP_copy, operations, count);
}

int nc2_grant_table_op(unsigned int command, void *operations, unsigned int count)
{
	return HYPERVISOR_grant_table_op(command, operations, count);
}

u32 nc2_grant_table_version(void)
{
	struct gnttab_get_version op = { .dom = DOMID_SELF };

	return HYPERVISOR_grant_table_op(GNTTABOP_get_version, &op, 1) ? 1 : op.version;
}

int nc2_map_frame(void *address, unsigned long frame)
{
	return HYPERVISOR_update_va_mapping((unsigned long)address,
					    mfn_pte(frame, PAGE_KERNEL),
					    UVMF_INVLPG | UVMF_ALL);
}

void nc2_unmap_frame(void *address)
{
	WARN_ON_ONCE(HYPERVISOR_update_va_mapping((unsigned long)address, __pte(0),
						  UVMF_INVLPG | UVMF_ALL));
}

void nc2_memcpy(void *to, const void *from, size_t length)
{
	memcpy(to, from, length);
}

void nc2_gnttab_set_map_op(struct gnttab_map_grant_ref *op, void *address,
			   u32 flags, grant_ref_t ref, domid_t domid)
{
	gnttab_set_map_op(op, (unsigned long)address, flags, ref, domid);
}

void nc2_gnttab_set_unmap_op(struct gnttab_unmap_grant_ref *op, void *address,
			     u32 flags, grant_handle_t handle)
{
	gnttab_set_unmap_op(op, (unsigned long)address, flags, handle);
}

int nc2_uevent_online(struct device *dev, char *variables[])
{
	return kobject_uevent_env(&dev->kobj, KOBJ_ONLINE, variables);
}

int nc2_request_module_nowait(const char *name)
{
	return request_module_nowait("%s", name);
}
