// SPDX-License-Identifier: Apache-2.0
// The drivers for the machine's devices that the service VM's program has.
#include "service/drivers.h"

const struct nic_class *const nic_classes[] = {
    &virtio_net_nic,
    &e1000_nic,
    NULL,
};

const struct block_class *const block_classes[] = {
    &virtio_blk_block,
    &nvme_block,
    NULL,
};
