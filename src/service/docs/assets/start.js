SwaggerUIBundle({
  url: "/api/schema.json",
  dom_id: "#api",
  deepLinking: true,
  persistAuthorization: false,
  // The badge of a validator elsewhere would tell that server where this one is.
  validatorUrl: null,
});
