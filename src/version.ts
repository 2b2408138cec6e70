/** The package's version, as `GET /health` tells it. */
export const VERSION = "0.1.0";
