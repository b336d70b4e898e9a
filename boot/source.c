// SPDX-License-Identifier: Apache-2.0
// Where files come from: the FAT volume that the loader was started from, or the TFTP server that sent it.
// This file has what both have in common, and the volume (UEFI 2.10, sections 13.4 and 13.5).
#include "boot/source.h"

#include <efiprot.h>
#include <stdio.h>
#include <string.h>

#include "boot/console.h"
#include "boot/memory.h"
#include "boot/source_tftp.h"

#define READ_PIECE (1024ull * 1024) /* bytes between two updates of the progress line */

const char *source_status_text(EFI_STATUS status) {
    switch (status) {
    case EFI_SUCCESS:
        return "no error";
    case EFI_LOAD_ERROR:
        return "load error";
    case EFI_INVALID_PARAMETER:
        return "invalid parameter";
    case EFI_UNSUPPORTED:
        return "not supported by the firmware";
    case EFI_BUFFER_TOO_SMALL:
        return "buffer too small";
    case EFI_NOT_READY:
        return "device not ready";
    case EFI_DEVICE_ERROR:
        return "device error";
    case EFI_OUT_OF_RESOURCES:
        return "out of memory";
    case EFI_VOLUME_CORRUPTED:
        return "the volume's file system is corrupt";
    case EFI_NO_MEDIA:
        return "no medium in the drive";
    case EFI_MEDIA_CHANGED:
        return "the medium was changed or pulled out";
    case EFI_NOT_FOUND:
        return "not found";
    case EFI_ACCESS_DENIED:
        return "access denied";
    case EFI_NO_RESPONSE:
        return "no response";
    case EFI_NO_MAPPING:
        return "the network interface has no address";
    case EFI_TIMEOUT:
        return "timed out";
    case EFI_NOT_STARTED:
        return "not started";
    case EFI_ABORTED:
        return "aborted";
    case EFI_ICMP_ERROR:
        return "ICMP error";
    case EFI_TFTP_ERROR:
        return "TFTP error";
    case EFI_PROTOCOL_ERROR:
        return "protocol error";
    case EFI_SECURITY_VIOLATION:
        return "refused by the firmware's security policy";
    case EFI_CRC_ERROR:
        return "checksum error";
    case EFI_END_OF_FILE:
        return "the file ends early";
    default:
        return "unknown firmware error";
    }
}

/* The directory of the loader's own file, from the path that it was loaded by. */
static void directory_of_image(EFI_LOADED_IMAGE *image, char *directory) {
    const uint8_t *node = (const uint8_t *)image->FilePath;
    size_t length = 0;

    /* A file path may be spread over several nodes (UEFI 2.10, section 10.3.5.4); the whole of it is the
     * firmware's. */
    while (node != NULL && (node[0] & 0x7f) != END_DEVICE_PATH_TYPE) {
        size_t node_size = (size_t)node[2] | (size_t)node[3] << 8;

        if (node_size < 4) {
            break;
        }
        if (node[0] == MEDIA_DEVICE_PATH && node[1] == MEDIA_FILEPATH_DP) {
            for (size_t at = 4; at + 2 <= node_size && length + 4 < PATH_MAX_BYTES; at += 2) {
                uint32_t c = (uint32_t)node[at] | (uint32_t)node[at + 1] << 8;

                if (c == 0) {
                    break;
                } else if (c < 0x80) {
                    directory[length++] = (char)c;
                } else if (c < 0x800) {
                    directory[length++] = (char)(0xc0 | c >> 6);
                    directory[length++] = (char)(0x80 | (c & 0x3f));
                } else {
                    directory[length++] = (char)(0xe0 | c >> 12);
                    directory[length++] = (char)(0x80 | (c >> 6 & 0x3f));
                    directory[length++] = (char)(0x80 | (c & 0x3f));
                }
            }
            if (length + 1 < PATH_MAX_BYTES && (length == 0 || directory[length - 1] != '\\')) {
                directory[length++] = '\\'; /* between this node and a next one */
            }
        }
        node += node_size;
    }
    while (length > 0 && directory[length - 1] == '\\') {
        length--;
    }
    directory[length] = '\0';
    path_cut_to_directory(directory);
}

unsigned int source_open(EFI_BOOT_SERVICES *boot, EFI_HANDLE image, struct source sources[2]) {
    static EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
    static EFI_GUID volume_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
    EFI_LOADED_IMAGE *loaded;
    EFI_FILE_IO_INTERFACE *volume;
    unsigned int count = 0;

    memset(sources, 0, 2 * sizeof(*sources));
    if (boot->HandleProtocol(image, &loaded_image_guid, (void **)&loaded) != EFI_SUCCESS ||
        loaded->DeviceHandle == NULL) {
        return 0;
    }
    if (boot->HandleProtocol(loaded->DeviceHandle, &volume_guid, (void **)&volume) == EFI_SUCCESS &&
        volume->OpenVolume(volume, &sources[count].root) == EFI_SUCCESS) {
        sources[count].device = loaded->DeviceHandle;
        directory_of_image(loaded, sources[count].directory);
        count++;
    }
    if (source_tftp_open(boot, loaded->DeviceHandle, &sources[count])) {
        sources[count].device = loaded->DeviceHandle;
        count++;
    }
    return count;
}

void source_close(EFI_BOOT_SERVICES *boot, struct source *sources, unsigned int count) {
    for (unsigned int i = 0; i < count; i++) {
        if (sources[i].pxe != NULL) {
            source_tftp_close(boot, sources[i].device, &sources[i]);
        } else {
            sources[i].root->Close(sources[i].root);
        }
    }
}

uint8_t *source_take(uint64_t size, uint32_t type, char *why) {
    uint64_t total;
    uint64_t largest;
    uint8_t *data = memory_take(size, type, MEMORY_PAGE, 0);

    if (data == NULL) {
        memory_free_now(&total, &largest);
        snprintf(why, SOURCE_WHY,
                 "needs %llu KiB of memory; %llu KiB are free, of which the largest block has %llu KiB",
                 (unsigned long long)((size + 1023) / 1024), (unsigned long long)(total / 1024),
                 (unsigned long long)(largest / 1024));
    }
    return data;
}

static void fill_last_page(struct source_file *file) {
    memset(file->data + file->size, 0, (size_t)(-file->size & (MEMORY_PAGE - 1)));
}

/* Size of an open file, by its information block. */
static EFI_STATUS volume_size(EFI_FILE_HANDLE handle, uint64_t *size, char *why) {
    static EFI_GUID info_guid = EFI_FILE_INFO_ID;
    static union {
        EFI_FILE_INFO info;
        uint8_t bytes[sizeof(EFI_FILE_INFO) + 2 * PATH_MAX_BYTES];
    } buffer;
    UINTN buffer_size = sizeof(buffer);
    EFI_STATUS status = handle->GetInfo(handle, &info_guid, &buffer_size, &buffer);

    if (status != EFI_SUCCESS) {
        snprintf(why, SOURCE_WHY, "cannot be read: %s", source_status_text(status));
        return status;
    }
    if (buffer.info.Attribute & EFI_FILE_DIRECTORY) {
        snprintf(why, SOURCE_WHY, "is a directory");
        return EFI_INVALID_PARAMETER;
    }
    *size = buffer.info.FileSize;
    return EFI_SUCCESS;
}

static EFI_STATUS volume_read_all(EFI_FILE_HANDLE handle, const char *name, struct source_file *file,
                                  char *why) {
    uint64_t done = 0;

    while (done < file->size) {
        UINTN piece = file->size - done < READ_PIECE ? file->size - done : READ_PIECE;
        EFI_STATUS status = handle->Read(handle, &piece, file->data + done);

        if (status == EFI_SUCCESS && piece == 0) {
            status = EFI_END_OF_FILE;
        }
        if (status != EFI_SUCCESS) {
            snprintf(why, SOURCE_WHY, "cannot be read: %s at byte %llu of %llu", source_status_text(status),
                     (unsigned long long)done, (unsigned long long)file->size);
            return status == EFI_END_OF_FILE ? EFI_DEVICE_ERROR : status;
        }
        done += piece;
        console_progress(name, done, file->size);
    }
    return EFI_SUCCESS;
}

static EFI_STATUS volume_read(struct source *source, const char *path, const char *name, uint64_t max_size,
                              uint32_t type, struct source_file *file, char *why) {
    static CHAR16 path16[PATH_MAX_BYTES];
    EFI_FILE_HANDLE handle;
    EFI_STATUS status;

    path_ucs2_from_utf8(path, (uint16_t *)path16, PATH_MAX_BYTES);
    status = source->root->Open(source->root, &handle, path16, EFI_FILE_MODE_READ, 0);
    if (status != EFI_SUCCESS) {
        snprintf(why, SOURCE_WHY, "%s: %s on the boot volume", source_status_text(status), path);
        return status;
    }
    status = volume_size(handle, &file->size, why);
    if (status == EFI_SUCCESS) {
        status = source_check_size(file->size, max_size, why);
    }
    if (status == EFI_SUCCESS) {
        file->data = source_take(file->size, type, why);
        status = file->data == NULL ? EFI_OUT_OF_RESOURCES : volume_read_all(handle, name, file, why);
    }
    handle->Close(handle);
    return status;
}

EFI_STATUS source_check_size(uint64_t size, uint64_t max_size, char *why) {
    if (size == 0) {
        snprintf(why, SOURCE_WHY, "is empty");
        return EFI_END_OF_FILE;
    }
    if (size > max_size) {
        snprintf(why, SOURCE_WHY, "has %llu bytes; at most %llu are possible here", (unsigned long long)size,
                 (unsigned long long)max_size);
        return EFI_BAD_BUFFER_SIZE;
    }
    return EFI_SUCCESS;
}

EFI_STATUS source_read(struct source *source, const char *name, uint64_t max_size, uint32_t type,
                       struct source_file *file, char *why) {
    char path[PATH_MAX_BYTES];
    const char *fault;
    EFI_STATUS status;

    *file = (struct source_file){0};
    if (path_join(source->directory, name, source->pxe != NULL ? '/' : '\\', path, sizeof(path), &fault)) {
        snprintf(why, SOURCE_WHY, "%s", fault);
        return EFI_INVALID_PARAMETER;
    }
    status = source->pxe != NULL ? source_tftp_read(source, path, name, max_size, type, file, why)
                                 : volume_read(source, path, name, max_size, type, file, why);
    if (status == EFI_SUCCESS) {
        fill_last_page(file);
        console_progress_end(name, file->size, true);
        return EFI_SUCCESS;
    }
    console_progress_end(name, 0, false);
    source_free(file);
    return status;
}

bool source_in_root(const struct source *source) {
    return source->directory[0] == '\0' || strcmp(source->directory, "\\") == 0 ||
           strcmp(source->directory, "/") == 0;
}

void source_go_to_root(struct source *source) {
    /* A server's paths are relative to the directory that it serves; a volume's begin with a backslash. */
    source->directory[0] = source->pxe != NULL ? '\0' : '\\';
    source->directory[1] = '\0';
}

void source_free(struct source_file *file) {
    if (file->data != NULL) {
        memory_give(file->data, file->size);
    }
    *file = (struct source_file){0};
}
