/* The version of Linnet: a program may read it at compile time.
 * The plugin ABI has its own (LNT_ABI_MAJOR in plugin.h), and so has the wire protocol. */
#ifndef LINNET_VERSION_H
#define LINNET_VERSION_H

#define LINNET_VERSION_MAJOR 0
#define LINNET_VERSION_MINOR 1
#define LINNET_VERSION_PATCH 0
#define LINNET_VERSION_STRING "0.1.0"

#endif /* LINNET_VERSION_H */
