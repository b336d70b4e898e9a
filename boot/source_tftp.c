// SPDX-License-Identifier: Apache-2.0
// Files from the TFTP server that sent the loader, through the PXE base code protocol (UEFI 2.10,
// section 24.3).
#include "boot/source_tftp.h"

#include <efilib.h>
#include <stdio.h>
#include <string.h>

#include "boot/console.h"
#include "boot/dhcp.h"
#include "boot/memory.h"
#include "boot/tftp.h"

#define FIRST_GUESS    (4ull << 20) /* bytes to try when the server does not tell sizes */
#define LAST_GUESS     (4ull << 30)
#define BLOCK_SIZE     1432u /* fits an Ethernet frame, also through a tunnel; servers may answer with less */
#define QUERY_ATTEMPTS 4u
#define QUERY_TIMEOUT  20000000ull /* in units of 100 ns */

static EFI_BOOT_SERVICES *services;

/* What the firmware's callback tells of the transfer in progress. */
static struct {
    const char *name;
    uint64_t done;
    uint64_t total; /* 0: not known */
} transfer;

/*
 * Called by the firmware for every packet. A TFTP DATA packet (opcode 3) has four bytes of header. The
 * function is not looked at: EDK II (2022.11) says "DHCP" of TFTP's packets too.
 */
static EFI_PXE_BASE_CODE_CALLBACK_STATUS EFIAPI packet_seen(EFI_PXE_BASE_CODE_CALLBACK_PROTOCOL *this,
                                                            EFI_PXE_BASE_CODE_FUNCTION function,
                                                            BOOLEAN received, UINT32 length,
                                                            EFI_PXE_BASE_CODE_PACKET *packet) {
    (void)this;
    (void)function;
    if (received && packet != NULL && length > 4 && packet->Raw[0] == 0 && packet->Raw[1] == 3 &&
        transfer.name != NULL) {
        transfer.done += length - 4;
        if (transfer.total == 0 || transfer.done < transfer.total) {
            console_progress(transfer.name, transfer.done, transfer.total);
        }
    }
    return EFI_PXE_BASE_CODE_CALLBACK_STATUS_CONTINUE;
}

static EFI_PXE_BASE_CODE_CALLBACK_PROTOCOL callback = {
    .Revision = EFI_PXE_BASE_CODE_CALLBACK_PROTOCOL_REVISION,
    .Callback = packet_seen,
};

static EFI_GUID callback_guid = EFI_PXE_BASE_CODE_CALLBACK_PROTOCOL_GUID;

/* Progress is a comfort: where the firmware has a callback of its own or takes none, files load without. */
static void install_callback(EFI_BOOT_SERVICES *boot, EFI_HANDLE device, EFI_PXE_BASE_CODE_PROTOCOL *pxe) {
    BOOLEAN on = TRUE;
    void *other;

    if (boot->HandleProtocol(device, &callback_guid, &other) == EFI_SUCCESS) {
        return;
    }
    if (boot->InstallProtocolInterface(&device, &callback_guid, EFI_NATIVE_INTERFACE, &callback) ==
        EFI_SUCCESS) {
        pxe->SetParameters(pxe, NULL, NULL, NULL, NULL, &on);
    }
}

void source_tftp_close(EFI_BOOT_SERVICES *boot, EFI_HANDLE device, struct source *source) {
    BOOLEAN off = FALSE;
    void *installed;

    if (boot->HandleProtocol(device, &callback_guid, &installed) == EFI_SUCCESS && installed == &callback) {
        source->pxe->SetParameters(source->pxe, NULL, NULL, NULL, NULL, &off);
        boot->UninstallProtocolInterface(device, &callback_guid, &callback);
    }
}

/* The answer that named the boot file: a boot server's reply before a proxy's offer before the DHCP server
 * itself. */
static bool find_server(const EFI_PXE_BASE_CODE_MODE *mode, struct source *source) {
    const struct {
        BOOLEAN received;
        const EFI_PXE_BASE_CODE_PACKET *packet;
    } answers[3] = {
        {mode->PxeReplyReceived, &mode->PxeReply},
        {mode->ProxyOfferReceived, &mode->ProxyOffer},
        {mode->DhcpAckReceived, &mode->DhcpAck},
    };

    for (size_t i = 0; i < 3; i++) {
        struct dhcp_boot boot;

        if (answers[i].received &&
            dhcp_boot_read(answers[i].packet, sizeof(*answers[i].packet), &boot) == 0 && boot.server != 0 &&
            boot.file[0] != '\0') {
            source->server = boot.server;
            snprintf(source->directory, sizeof(source->directory), "%s", boot.file);
            path_cut_to_directory(source->directory);
            return true;
        }
    }
    return false;
}

bool source_tftp_open(EFI_BOOT_SERVICES *boot, EFI_HANDLE device, struct source *source) {
    static EFI_GUID pxe_guid = EFI_PXE_BASE_CODE_PROTOCOL_GUID;
    EFI_PXE_BASE_CODE_PROTOCOL *pxe;

    if (boot->HandleProtocol(device, &pxe_guid, (void **)&pxe) != EFI_SUCCESS || pxe->Mode == NULL) {
        return false;
    }
    if (pxe->Mode->UsingIpv6) {
        console_print("The network boot went over IPv6. This version reads files over IPv4 only.\n");
        return false;
    }
    if (!pxe->Mode->Started || !find_server(pxe->Mode, source)) {
        return false;
    }
    source->pxe = pxe;
    services = boot;
    install_callback(boot, device, pxe);
    return true;
}

static EFI_STATUS mtftp(struct source *source, EFI_PXE_BASE_CODE_TFTP_OPCODE operation, void *buffer,
                        uint64_t *size, const char *path) {
    EFI_IP_ADDRESS server = {.Addr = {source->server}};
    UINTN block = BLOCK_SIZE;

    source->pxe->Mode->TftpErrorReceived = FALSE;
    transfer.done = 0;
    return source->pxe->Mtftp(source->pxe, operation, buffer, FALSE, size, &block, &server, (UINT8 *)path,
                              NULL, FALSE);
}

static void locate(const struct source *source, const char *path, char *text, size_t size) {
    snprintf(text, size, "tftp://%u.%u.%u.%u/%s", source->server & 0xff, source->server >> 8 & 0xff,
             source->server >> 16 & 0xff, source->server >> 24, path[0] == '/' ? path + 1 : path);
}

static EFI_STATUS server_refuses(const struct source *source, const char *path, const char *said,
                                 unsigned int code, char *why) {
    char text[PATH_MAX_BYTES + 32];

    locate(source, path, text, sizeof(text));
    snprintf(why, SOURCE_WHY, "the server says: %s (TFTP error %u): %s", said, code, text);
    return code == TFTP_ERROR_NOT_FOUND ? EFI_NOT_FOUND : EFI_TFTP_ERROR;
}

/* The firmware's status, and the server's own words if it sent an error packet. */
static EFI_STATUS explain(const struct source *source, EFI_STATUS status, const char *path, char *why) {
    const EFI_PXE_BASE_CODE_MODE *mode = source->pxe->Mode;
    char text[PATH_MAX_BYTES + 32];
    char said[sizeof(mode->TftpError.ErrorString) + 1];

    if (!mode->TftpErrorReceived) {
        locate(source, path, text, sizeof(text));
        snprintf(why, SOURCE_WHY, "%s: %s", source_status_text(status), text);
        return status;
    }
    memcpy(said, mode->TftpError.ErrorString, sizeof(said) - 1);
    said[sizeof(said) - 1] = '\0';
    for (char *c = said; *c != '\0'; c++) {
        *c = *c < 0x20 || *c > 0x7e ? '.' : *c;
    }
    return server_refuses(source, path, said, mode->TftpError.ErrorCode, why);
}

/*
 * Ask the server for the size of `path` over plain UDP. Network boot programs such as iPXE (1.0.0 to 1.21)
 * implement neither the size query nor the returned size of a read. EFI_SUCCESS with *size; EFI_UNSUPPORTED:
 * this server does not tell sizes; else what went wrong, in `why`.
 */
static EFI_STATUS ask_size(const struct source *source, const char *path, uint64_t *size, char *why) {
    EFI_PXE_BASE_CODE_PROTOCOL *pxe = source->pxe;
    EFI_IP_ADDRESS server = {.Addr = {source->server}};
    static uint8_t packet[TFTP_PACKET];
    EFI_EVENT timer;
    EFI_PXE_BASE_CODE_UDP_PORT own_port = 0;
    EFI_STATUS status = EFI_TIMEOUT;

    if (services->CreateEvent(EVT_TIMER, 0, NULL, NULL, &timer) != EFI_SUCCESS) {
        return EFI_OUT_OF_RESOURCES;
    }
    for (unsigned int attempt = 0; attempt < QUERY_ATTEMPTS && status == EFI_TIMEOUT; attempt++) {
        EFI_PXE_BASE_CODE_UDP_PORT port = TFTP_PORT;
        UINTN length = tftp_size_request(path, packet);

        if (length == 0 || services->SetTimer(timer, TimerRelative, QUERY_TIMEOUT) != EFI_SUCCESS ||
            pxe->UdpWrite(pxe, EFI_PXE_BASE_CODE_UDP_OPFLAGS_ANY_SRC_PORT, &server, &port, NULL, NULL,
                          &own_port, NULL, NULL, &length, packet) != EFI_SUCCESS) {
            break;
        }
        while (status == EFI_TIMEOUT && services->CheckEvent(timer) == EFI_NOT_READY) {
            EFI_IP_ADDRESS from = server;
            EFI_IP_ADDRESS to;
            char said[128];
            uint16_t code;

            length = sizeof(packet);
            if (pxe->UdpRead(pxe,
                             EFI_PXE_BASE_CODE_UDP_OPFLAGS_ANY_SRC_PORT |
                                 EFI_PXE_BASE_CODE_UDP_OPFLAGS_ANY_DEST_IP,
                             &to, &own_port, &from, &port, NULL, NULL, &length, packet) != EFI_SUCCESS) {
                continue;
            }
            switch (tftp_answer_read(packet, length, size, &code, said, sizeof(said))) {
            case TFTP_ANSWER_SIZE:
                status = EFI_SUCCESS;
                break;
            case TFTP_ANSWER_NO_SIZE:
                status = EFI_UNSUPPORTED;
                break;
            case TFTP_ANSWER_ERROR:
                status = server_refuses(source, path, said, code, why);
                break;
            default:
                continue;
            }
            if (status == EFI_SUCCESS || status == EFI_UNSUPPORTED) { /* the server has begun to send */
                length = tftp_abort(packet);
                pxe->UdpWrite(pxe, 0, &server, &port, NULL, NULL, &own_port, NULL, NULL, &length, packet);
            }
        }
    }
    services->CloseEvent(timer);
    if (status == EFI_TIMEOUT) {
        explain(source, status, path, why);
    }
    return status;
}

static EFI_STATUS read_known(struct source *source, const char *path, uint64_t max_size, uint32_t type,
                             struct source_file *file, uint64_t size, char *why) {
    EFI_STATUS status = source_check_size(size, max_size, why);
    uint64_t done = size;

    if (status != EFI_SUCCESS) {
        return status;
    }
    file->data = source_take(size, type, why);
    if (file->data == NULL) {
        return EFI_OUT_OF_RESOURCES;
    }
    file->size = size;
    transfer.total = size;
    console_progress(transfer.name, 0, size);
    status = mtftp(source, EFI_PXE_BASE_CODE_TFTP_READ_FILE, file->data, &done, path);
    if (status == EFI_SUCCESS && done == size) {
        return EFI_SUCCESS;
    }
    if (status == EFI_SUCCESS || status == EFI_BUFFER_TOO_SMALL) {
        snprintf(why, SOURCE_WHY, "the server announced %llu bytes and sent %llu", (unsigned long long)size,
                 (unsigned long long)done);
        return EFI_PROTOCOL_ERROR;
    }
    return explain(source, status, path, why);
}

/* A server that does not tell sizes (no tsize option, RFC 2349): read into ever larger buffers until one is
 * enough. */
static EFI_STATUS read_unknown(struct source *source, const char *path, uint64_t max_size, uint32_t type,
                               struct source_file *file, char *why) {
    uint64_t room = FIRST_GUESS;
    uint64_t size;
    uint8_t *buffer;
    EFI_STATUS status;

    transfer.total = 0;
    for (;;) {
        buffer = source_take(room, MEMORY_SCRATCH, why);
        if (buffer == NULL) {
            return EFI_OUT_OF_RESOURCES;
        }
        size = room;
        status = mtftp(source, EFI_PXE_BASE_CODE_TFTP_READ_FILE, buffer, &size, path);
        if (status != EFI_BUFFER_TOO_SMALL || room >= LAST_GUESS || room > max_size) {
            break;
        }
        memory_give(buffer, room);
        /* The firmware may have counted what did not fit. */
        room = size > room && size <= LAST_GUESS ? size : room * 2;
    }
    if (status == EFI_BUFFER_TOO_SMALL) {
        snprintf(why, SOURCE_WHY, "has more than %llu bytes; at most %llu are possible here",
                 (unsigned long long)room, (unsigned long long)max_size);
        status = EFI_BAD_BUFFER_SIZE;
    } else if (status != EFI_SUCCESS) {
        status = explain(source, status, path, why);
    } else {
        status = source_check_size(size, max_size, why);
    }
    if (status == EFI_SUCCESS) {
        file->data = source_take(size, type, why);
        if (file->data == NULL) {
            status = EFI_OUT_OF_RESOURCES;
        } else {
            file->size = size;
            memcpy(file->data, buffer, size);
        }
    }
    memory_give(buffer, room);
    return status;
}

EFI_STATUS source_tftp_read(struct source *source, const char *path, const char *name, uint64_t max_size,
                            uint32_t type, struct source_file *file, char *why) {
    uint64_t size = 0;
    EFI_STATUS status;

    transfer.name = NULL;
    status = mtftp(source, EFI_PXE_BASE_CODE_TFTP_GET_FILE_SIZE, NULL, &size, path);
    if (status == EFI_BUFFER_TOO_SMALL && size != 0) {
        status = EFI_SUCCESS; /* early EDK II answers the query in this way */
    }
    if (status != EFI_SUCCESS) {
        EFI_STATUS meaning = explain(source, status, path, why);

        if (meaning == EFI_NOT_FOUND || status == EFI_TIMEOUT || status == EFI_NO_RESPONSE) {
            return meaning;
        }
        status = ask_size(source, path, &size, why);
        if (status != EFI_SUCCESS && status != EFI_UNSUPPORTED) {
            return status;
        }
    }
    transfer.name = name;
    status = status == EFI_SUCCESS ? read_known(source, path, max_size, type, file, size, why)
                                   : read_unknown(source, path, max_size, type, file, why);
    transfer.name = NULL;
    return status;
}
