// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>

#include "helpers.h"

void *nc2_skb_frag_address(const struct sk_buff *skb, unsigned int frag)
{
	return skb_frag_address(&skb_shinfo(skb)->frags[frag]);
}

unsigned int nc2_skb_frag_size(const struct sk_buff *skb, unsigned int frag)
{
	return skb_frag_size(&skb_shinfo(skb)->frags[frag]);
}

int nc2_skb_orphan_frags_rx(struct sk_buff *skb)
{
	return skb_orphan_frags_rx(skb, GFP_ATOMIC);
}

void nc2_skb_tx_timestamp(struct sk_buff *skb)
{
	skb_tx_timestamp(skb);
}

void nc2_skb_orphan(struct sk_buff *skb)
{
	skb_orphan(skb);
}

void nc2_nf_reset_ct(struct sk_buff *skb)
{
	nf_reset_ct(skb);
}

void nc2_skb_reserve(struct sk_buff *skb, int length)
{
	skb_reserve(skb, length);
}

void nc2_skb_add_rx_frag(struct sk_buff *skb, struct page *page, int offset,
			 int length, unsigned int truesize)
{
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, offset, length, truesize);
}

void nc2_skb_mark_for_recycle(struct sk_buff *skb)
{
	skb_mark_for_recycle(skb);
}

void nc2_skb_set_checksum_verified(struct sk_buff *skb)
{
	skb->ip_summed = CHECKSUM_UNNECESSARY;
}

void nc2_skb_set_checksum_partial(struct sk_buff *skb)
{
	skb->ip_summed = CHECKSUM_PARTIAL;
}

void nc2_skb_reset_network_header(struct sk_buff *skb)
{
	skb_reset_network_header(skb);
}

u8 nc2_skb_ip_summed(const struct sk_buff *skb)
{
	return skb->ip_summed;
}

unsigned int nc2_skb_checksum_start(const struct sk_buff *skb)
{
	return skb_checksum_start_offset(skb);
}

unsigned int nc2_skb_checksum_offset(const struct sk_buff *skb)
{
	return skb->csum_offset;
}

void nc2_skb_set_protocol(struct sk_buff *skb, __be16 protocol)
{
	skb->protocol = protocol;
}

void nc2_skb_set_gso(struct sk_buff *skb, unsigned int size, unsigned int type)
{
	struct skb_shared_info *info = skb_shinfo(skb);

	info->gso_size = size;
	info->gso_type = type;
	info->gso_segs = 0;
}

void nc2_skb_free(struct sk_buff *skb)
{
	dev_kfree_skb_any(skb);
}

struct page *nc2_page_pool_alloc(struct page_pool *pool)
{
	return page_pool_dev_alloc_pages(pool);
}

void nc2_page_pool_put(struct page_pool *pool, struct page *page)
{
	page_pool_put_full_page(pool, page, false);
}

void *nc2_page_pool_alloc_va(struct page_pool *pool, unsigned int *size)
{
	return page_pool_dev_alloc_va(pool, size);
}

void nc2_page_pool_free_va(struct page_pool *pool, void *address)
{
	page_pool_free_va(pool, address, false);
}

struct page *nc2_alloc_zeroed_page(void)
{
	return alloc_page(GFP_KERNEL | __GFP_ZERO);
}

void nc2_put_page(struct page *page)
{
	put_page(page);
}

void *nc2_page_address(const struct page *page)
{
	return page_address(page);
}
