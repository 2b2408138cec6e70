// What JSX becomes in the page: calls of these are shorter than those of Preact's JSX runtime.
export { Fragment, h } from "preact";
