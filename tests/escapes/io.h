/* The port instructions of the host build for escape attempts (takes the place of kernel/io.h): nothing
 * is accessed, but who leaves the range that the attempts were granted is counted. With every access
 * time passes for the DMA engines: they move what they were told to. */
#ifndef KHOROS_IO_H
#define KHOROS_IO_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

bool dma_model_move(uint8_t value);     /* tests/core/dma_model.h, which has the ports of engines */

#define GRANTED_FIRST 0x100
#define GRANTED_COUNT 4

extern unsigned stray_port_accesses;

static inline void port_access(uint16_t port, unsigned width)
{
    if (port < GRANTED_FIRST || port + width > GRANTED_FIRST + GRANTED_COUNT)
        stray_port_accesses++;
    (void)dma_model_move(0xee);
}

#define PORT_ACCESSES(bits)                                                             \
    static inline uint##bits##_t io_in##bits(uint16_t port)                             \
    {                                                                                   \
        port_access(port, bits / 8);                                                    \
        return 0;                                                                       \
    }                                                                                   \
    static inline void io_out##bits(uint16_t port, uint##bits##_t value)                \
    {                                                                                   \
        (void)value;                                                                    \
        port_access(port, bits / 8);                                                    \
    }                                                                                   \
    static inline void io_in##bits##s(uint16_t port, void *bytes, size_t count)         \
    {                                                                                   \
        port_access(port, bits / 8);                                                    \
        for (size_t i = 0; i < count * (bits / 8); i++)                                 \
            ((volatile uint8_t *)bytes)[i] = 0xee;                                      \
    }                                                                                   \
    static inline void io_out##bits##s(uint16_t port, const void *bytes, size_t count)  \
    {                                                                                   \
        port_access(port, bits / 8);                                                    \
        for (size_t i = 0; i < count * (bits / 8); i++)                                 \
            (void)((const volatile uint8_t *)bytes)[i];                                 \
    }

PORT_ACCESSES(8)
PORT_ACCESSES(16)
PORT_ACCESSES(32)

#endif
